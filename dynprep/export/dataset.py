"""A scene's dataset folder: written beside the old one from the store, with its provenance, then put in its place."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynprep.artefacts import Artefact
from dynprep.artefacts.tracks import PairTracks, TrackForm
from dynprep.errors import UserError
from dynprep.export import swap
from dynprep.export.claims import Claims
from dynprep.export.content import ComposedFile, Content, StoredFile, last_provenance
from dynprep.export.manifest import Manifest
from dynprep.export.names import DatasetNames
from dynprep.export.target import check_target, real
from dynprep.export.written import is_empty_folder, origin, refuse_changed, shared_damage
from dynprep.links import LinkKind
from dynprep.packing.kinds import CONTAINERS
from dynprep.packing.packed import packed_tracks
from dynprep.pipeline.plan import Plan, ScenePlan
from dynprep.store import Result
from dynprep.store.references import PROVENANCE
from dynprep.version import __version__

VERDICT = "verdict.json"  # what is not good, of one scene in a dataset, of all in a run's folder


@dataclass(frozen=True)
class DatasetWriter:
    """Writes one folder a scene.

    root: receives them; link: how files of the store are shown; run: what the provenance says of this run; claims:
    those of the multirun that it is part of.
    """

    root: Path
    names: DatasetNames
    link: LinkKind
    run: Mapping[str, Any]
    claims: Claims | None = None
    _shared_damage: dict[Path, set[str]] = field(default_factory=dict)

    def folder(self, scene: ScenePlan) -> Path:
        """The scene's folder; of a symbolic link, what it leads to."""
        return real(self.root / scene.name)

    def check(self, plan: Plan) -> None:
        """Raise UserError, before any work, if a scene's folder cannot be written, holds files of somebody else's
        where the dataset's would lie, or is another job's of this multirun."""
        check_target(self.root, plan.store.root)
        self._check_packing(plan)
        for scene in plan.scenes:
            folder = self.folder(scene)
            with plan.store.folder_lock(folder).hold():
                if self.claims is not None:
                    self.claims.take(folder)
                swap.recover(folder)
                manifest = Manifest.of(folder)
                changed = manifest.changed()
                self._shared_damage[folder] = shared_damage(manifest, changed)
                self._refuse_foreign(manifest, plan, changed)

    def _check_packing(self, plan: Plan) -> None:
        """Raise UserError where the tracks cannot be packed as they were asked for."""
        kind, tracks = self.names.pack, plan.all_stages.get(PairTracks.name)
        if kind is None or tracks is None or PairTracks.name not in plan.exported():
            return
        CONTAINERS[kind].check_package()
        formats = list(TrackForm.of(tracks.key_options()).formats)
        if formats != ["npy"]:
            raise UserError(
                f"layout.pack={kind}: .npy alone is packed, flow.formats={formats} is set; use flow.formats=[npy]"
            )

    def write(self, plan: Plan, scene: ScenePlan, verdict: Mapping[str, Any]) -> Path:
        """Make a scene's folder show its results and the verdict on them, and return it.

        The caller holds the folder's lock.

        A folder that shows them already is left as it is. Else folders of a former run stay where they go back to the
        same results as this run's; others are removed. Nothing else is. Raises UserError where a result is not complete
        any more.
        """
        folder = self.folder(scene)
        for name in plan.exported():
            plan.forget(scene.results[name])
            if not plan.is_complete(name, scene):
                raise UserError(
                    f"{name} of {scene.name}: its files in the store are gone or damaged since they were made; run "
                    "the same command again: they are made anew"
                )
        swap.recover(folder)
        before = Manifest.of(folder)
        changed = before.changed()
        self._refuse_foreign(before, plan, changed)
        content = self._content(plan, scene, before, verdict)
        if not changed and content.is_shown_by(before):
            return folder
        content.write(before, swap.begin(folder))
        # once more: laying out a long clip takes a while, in which a user may have changed something
        self._refuse_foreign(before, plan, before.changed())
        swap.replace(folder)
        return folder

    def _content(
        self, plan: Plan, scene: ScenePlan, before: Manifest, verdict: Mapping[str, Any]
    ) -> Content:
        """What a scene's folder is to hold, instead of what it held ``before``."""
        results = scene.read()
        stored: dict[str, StoredFile] = {}
        composed: dict[str, ComposedFile] = {}
        origins: dict[str, Any] = {}
        for artefact in (results[Artefact.registry[name]] for name in plan.exported()):
            result, linked = self._shown(plan, scene, artefact)
            for name, path in linked.items():
                stored[path] = StoredFile(result, name, artefact.name)
            for path, value in self.names.composed(artefact).items():
                composed[path] = ComposedFile.of(value, artefact.name)
            for inner in self.names.folders(artefact):
                origins[inner] = origin(scene.results[artefact.name])
                if self._is_packed(artefact):
                    origins[inner]["pack"] = self.names.pack
        composed[VERDICT] = ComposedFile.of(verdict, None)
        made_of = {name: _closure(plan, scene, name) for name in plan.exported()}
        stages = self._carried(before, made_of)
        carried = {path: file for path, file in before.files.items() if file.stage in stages}
        last = last_provenance(before.folder)
        if last is not None:
            origins |= {k: v for k, v in last["folders"].items() if str(v["stage"]) in stages}
        provenance = {
            "dynprep": __version__,
            "scene": scene.name,
            "source": {"path": scene.source.describe(), **scene.source.identity()},
            "run": dict(self.run),
            "layout": self.names.names,
            "link": self.link,
            "folders": origins,
            "verdict": {
                k: len(v) if k == "findings" else v for k, v in verdict.items() if k != "measures"
            },
            "made_of": {**stages, **made_of},
        }
        return Content(self.link, provenance, stored, composed, carried)

    def _is_packed(self, artefact: Artefact) -> bool:
        return self.names.pack is not None and isinstance(artefact, PairTracks)

    def _shown(
        self, plan: Plan, scene: ScenePlan, artefact: Artefact
    ) -> tuple[Result, dict[str, str]]:
        """The result that holds an artefact's files as the dataset has them, and their paths there by name."""
        linked = self.names.linked(artefact)
        if self.names.pack is None or not isinstance(artefact, PairTracks):
            return scene.results[artefact.name], linked
        result = packed_tracks(scene.read(), plan.store, self.names.pack)
        folder = self.names.name_of(artefact.places[0])
        files = (name for item in result.items().values() for name in item.files)
        return result, {name: f"{folder}/{name}" for name in files}

    def _carried(
        self, before: Manifest, made_of: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Mapping[str, str]]:
        """Stages of the folder as it is, with what they were made of, that fit to what is written now."""
        last = last_provenance(before.folder)
        if last is None or last["layout"] != self.names.names:
            return {}
        keys = {stage: key for closure in made_of.values() for stage, key in closure.items()}
        carried: dict[str, Mapping[str, str]] = {}
        for stage, closure in last["made_of"].items():
            if stage not in made_of and all(keys.get(s, key) == key for s, key in closure.items()):
                carried[stage] = closure
                keys |= closure
        return carried

    def _refuse_foreign(self, before: Manifest, plan: Plan, changed: Collection[str]) -> None:
        """Raise UserError for files that are somebody's own and that the dataset would take the place of, and for
        files of dynprep's that were ``changed``."""
        artefacts = [Artefact.registry[name] for name in plan.exported()]
        filled = [inner for a in artefacts for inner in self.names.all_folders(a)]
        single = [
            *(name for a in artefacts for name in self.names.single_files(a)),
            PROVENANCE,
            VERDICT,
        ]
        foreign = [
            relative
            for relative in before.foreign()
            if not is_empty_folder(before.folder / relative)
            and (
                relative in single
                or any(
                    f"{relative}/".startswith(f"{f}/") or f.startswith(f"{relative}/")
                    for f in filled
                )
            )
        ]
        if foreign:
            raise UserError(
                f"{before.folder}: holds {len(foreign)} files that dynprep did not write, e.g. {foreign[0]}; move "
                "them away or choose another dataset_dir"
            )
        shared = self._shared_damage.get(before.folder, set())
        refuse_changed(before.folder, [name for name in changed if name not in shared])


def _closure(plan: Plan, scene: ScenePlan, name: str) -> dict[str, str]:
    """The keys of a stage's result and of all results that it was made of, by stage."""
    keys = {name: scene.results[name].key}
    for artefact in plan.all_stages[name].reads():
        keys |= _closure(plan, scene, artefact.name)
    return keys
