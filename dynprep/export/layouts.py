"""Folders for trainers, one a layout and scene, written beside the old one from the store and put in its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynprep.artefacts.base import SceneResults
from dynprep.errors import UserError
from dynprep.export import swap
from dynprep.export.content import Content, StoredFile
from dynprep.export.manifest import Manifest
from dynprep.export.target import check_target, real
from dynprep.export.written import is_empty_folder, origin, refuse_changed, shared_damage
from dynprep.links import LinkKind
from dynprep.stages.layout import LayoutStage, Shown
from dynprep.store import Store
from dynprep.store.references import PROVENANCE
from dynprep.version import __version__


@dataclass(frozen=True)
class LayoutWriter:
    """Writes ``root``/the layout's folder/scene.

    link: how files of the store are shown; run: what the provenance says of this run.
    """

    root: Path
    link: LinkKind
    run: Mapping[str, Any]
    _shared_damage: dict[Path, set[str]] = field(default_factory=dict)

    def folder(self, layout: LayoutStage, scene: str) -> Path:
        """The folder of one layout and scene; of a symbolic link, what it leads to."""
        return real(self.root / layout.folder / scene)

    def check(self, layouts: Sequence[LayoutStage], scenes: Sequence[str], store: Store) -> None:
        """Raise UserError, before any work, where two would share a folder, or files of somebody else's lie there."""
        if layouts:
            check_target(self.root, store.root)
        folders = [layout.folder for layout in layouts]
        for k, layout in enumerate(layouts):
            option = f"layout.{layout.name}.folder={layout.folder}"
            if layout.folder in folders[:k]:
                raise UserError(f"{option}: another layout has that folder; give each its own")
            if layout.folder in scenes:
                raise UserError(f"{option}: a scene is called so; give the layout another folder")
            for scene in scenes:
                folder = self.folder(layout, scene)
                with store.folder_lock(folder).hold():
                    swap.recover(folder)
                    before = Manifest.of(folder)
                    changed = before.changed()
                    self._shared_damage[folder] = shared_damage(before, changed)
                    self._refuse_changed(folder, changed)
                    strange = [] if before.files else list(before.foreign())
                if strange and not is_empty_folder(folder):
                    raise UserError(
                        f"{folder}: holds {len(strange)} files that dynprep did not write, e.g. {strange[0]}; move "
                        "them away or choose another dataset_dir"
                    )

    def write(self, layout: LayoutStage, scene: SceneResults) -> tuple[Path, str | None]:
        """Make the folder show a scene's results as the layout has them; returns it, and what a user should know.

        The caller holds the folder's lock. What a trainer or somebody else put there stays. A folder that shows the
        results already is left as it is.
        """
        folder = self.folder(layout, scene.name)
        if scene.results[layout.name].seal() is None:
            raise UserError(
                f"{layout.name} of {scene.name}: its files in the store are gone; run the same command again: they are "
                "made anew"
            )
        swap.recover(folder)
        before = Manifest.of(folder)
        changed = before.changed()
        self._refuse_changed(folder, changed)
        files = list(layout.files(scene))
        strange = [name for name in before.foreign() if not is_empty_folder(folder / name)]
        _refuse_in_the_way(folder, strange, files)
        content = self._content(layout, scene, files)
        if not changed and content.is_shown_by(before):
            return folder, None
        written = content.write(before, swap.begin(folder))
        # once more: laying out a long clip takes a while
        self._refuse_changed(folder, before.changed())
        swap.replace(folder)
        is_changed = _shown(before) != _shown(written)
        if strange and is_changed and before.files:
            return folder, (
                f"{folder}: {len(strange)} files that dynprep did not write stay, e.g. {strange[0]}; remove them if a "
                "trainer made them of the files that were there before"
            )
        return folder, None

    def _content(self, layout: LayoutStage, scene: SceneResults, files: Sequence[Shown]) -> Content:
        used = [*layout.reads(), layout.makes]
        provenance = {
            "dynprep": __version__,
            "scene": scene.name,
            "run": dict(self.run),
            "layout": {},
            "link": self.link,
            "folders": {artefact.name: origin(scene.results[artefact.name]) for artefact in used},
            "made_of": {layout.name: {a.name: scene.results[a.name].key for a in used}},
        }
        results = scene.results
        stored = {
            f.path: StoredFile(results[f.artefact.name], f.file, f.artefact.name) for f in files
        }
        return Content(self.link, provenance, stored)

    def _refuse_changed(self, folder: Path, changed: Sequence[str]) -> None:
        shared = self._shared_damage.get(folder, set())
        refuse_changed(folder, [name for name in changed if name not in shared])


def _shown(manifest: Manifest) -> dict[str, str]:
    return {path: file.sha256 for path, file in manifest.files.items() if file.stage is not None}


def _refuse_in_the_way(folder: Path, strange: Sequence[str], files: Sequence[Shown]) -> None:
    """Raise UserError where a file of somebody else's lies where one of ours would, or above it."""
    filled: set[str] = {PROVENANCE}
    for file in files:
        parts = file.path.split("/")
        filled |= {"/".join(parts[: k + 1]) for k in range(len(parts))}
    for name in strange:
        if name in filled:
            raise UserError(
                f"{folder / name}: dynprep did not write it and would write there; move it away or choose another "
                "dataset_dir"
            )
