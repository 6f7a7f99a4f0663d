"""``dynprep export RUN|STORE|DATASET [SCENE …] layout=…``: write another layout of what was computed already."""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.images import Images
from dynprep.config.build import settings
from dynprep.config.compose import compose_config, quoted
from dynprep.config.typed import trust_packages
from dynprep.errors import UserError, nearest, printable
from dynprep.export.layouts import LayoutWriter
from dynprep.foreign import Malformed, read_json
from dynprep.links import resolve_link
from dynprep.pipeline.execute import versions
from dynprep.pipeline.plan import recipe
from dynprep.record_shape import read_record
from dynprep.run_file import RUN_FILE
from dynprep.stages.base import WHOLE_SCENE
from dynprep.stages.layout import LayoutStage
from dynprep.store import ItemWriter, Result, Store
from dynprep.store.references import PROVENANCE, ProvenanceShape, references, remember
from dynprep.store.verified import Damaged

_ALLOWED = ("layout", "dataset_dir", "dataset.link", "packages")  # what overrides may name


@dataclass(frozen=True)
class Computed:
    """What was computed: keys of results by scene and stage; root: where the datasets lie, if that is known."""

    store: Store
    keys: dict[str, dict[str, str]]
    root: Path | None


def main(arguments: Sequence[str]) -> int:
    """Write the layouts that the arguments name, and return the exit status."""
    flags, rest = _parser().parse_known_args(list(arguments))
    scenes = [word for word in [*flags.scene, *rest] if "=" not in word]
    overrides = [word for word in [*flags.scene, *rest] if "=" in word]
    _check(scenes, overrides)
    computed = _computed(flags.where, scenes)
    chosen = [*scenes] or list(computed.keys)
    for scene in chosen:
        if scene not in computed.keys:
            raise UserError(
                f"{flags.where}: has no scene '{scene}'; {nearest(scene, sorted(computed.keys))}"
            )
    named = any(override.startswith("dataset_dir=") for override in overrides)
    if computed.root is None and not named:
        raise UserError("export: say where the folders go, dataset_dir=FOLDER")
    own = [f"store_dir={quoted(computed.store.root)}", *overrides]
    own += [] if named or computed.root is None else [f"dataset_dir={quoted(computed.root)}"]
    config, choices = compose_config(own)
    if any(override.startswith("packages=") for override in overrides):
        trust_packages(config["packages"])
    options = settings(config, choices)
    if not options.layouts:
        raise UserError("export: name a layout, such as layout=colmap")
    started = time.time()
    run = {
        "folder": str(flags.where.absolute()),
        "sweep": None,
        "started": started,
        "versions": versions(),
    }
    link = resolve_link(options.dataset.link)
    writer = LayoutWriter(options.dataset_dir, link, run)
    writer.check(options.layouts, chosen, computed.store)
    for layout in options.layouts:
        layout.check_packages()
        for name in chosen:
            with _undamaged(name):
                scene = _opened(computed, name, layout)
                layout.check_length(len(scene.frames), name)
                folder = writer.folder(layout, name)
                note = partial(_note, computed.store, folder, started, options.dataset_dir)
                used = {f"{layout.folder}/{name}": _keys(layout, scene)}
                # until the folder says so itself, whoever cleans the store must leave its results alone
                note(used, True)
                try:
                    made = _made(layout, scene, computed.store)
                    with computed.store.folder_lock(folder).hold():
                        folder, remark = writer.write(layout, made)
                finally:
                    note(used, False)
            notes = [n for item in made.results[layout.name].items().values() for n in item.notes]
            for line in (*notes, *([remark] if remark else ())):
                print(f"! {printable(line)}")
            print(f"{layout.name:<8} {printable(str(folder))}", flush=True)
    return 0


def _note(
    store: Store,
    folder: Path,
    started: float,
    root: Path,
    used: dict[str, dict[str, str]],
    pinned: bool,
) -> None:
    """Note in the store which results a layout's folder uses."""
    with store.gate():
        remember(store, folder, started, root, used, pinned)


def _keys(layout: LayoutStage, scene: SceneResults) -> dict[str, str]:
    """Keys of what a layout reads and of what it makes, by stage."""
    reads: tuple[type[Artefact], ...] = layout.reads()
    keys = {artefact.name: scene.results[artefact.name].key for artefact in reads}
    return {**keys, layout.name: recipe(layout, scene.results).key}


@contextmanager
def _undamaged(scene: str) -> Iterator[None]:
    """Say what helps where a stored file is gone or damaged: nothing here makes it anew."""
    try:
        yield
    except Damaged as error:
        raise UserError(
            f"{scene}: {error.path} is gone or not as it was written; run the command that made it again, then export"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dynprep export",
        description="Write a layout of what a run has computed, without computing it again: layout=colmap, "
        "layout=[colmap,nerfies], layout=ply layout.ply.frame=12. The folders go beside the dataset, or into "
        "dataset_dir=FOLDER.",
        usage="dynprep export RUN|STORE|DATASET [SCENE ...] layout=NAME [OPTION=VALUE ...]",
    )
    parser.add_argument(
        "where", type=Path, help="a run's folder, a store, or one scene's dataset folder"
    )
    parser.add_argument("scene", nargs="*", help="names of scenes; of a store they must be named")
    return parser


def _check(scenes: Sequence[str], overrides: Sequence[str]) -> None:
    for word in (*scenes, *overrides):
        if word.startswith("-"):
            raise UserError(f"export: {word} is no option of it; see dynprep export --help")
    for override in overrides:
        option = override.partition("=")[0].lstrip("+")
        if not any(option == name or option.startswith(f"{name}.") for name in _ALLOWED):
            raise UserError(
                f"export: {option} has no effect, since nothing is computed; it takes layout=…, layout.… and "
                "dataset_dir=…"
            )


def _computed(where: Path, scenes: Sequence[str]) -> Computed:
    """What lies at the path, which may be of three kinds."""
    if (where / PROVENANCE).is_file():
        return _of_dataset(where)
    if where.name == RUN_FILE or (where / RUN_FILE).is_file():
        return _of_run(where)
    if not where.is_dir():
        raise UserError(f"export: there is no folder {where}")
    store = Store(where, may_make=False)
    if not scenes:
        raise UserError(
            f"export: {where} is a store; name the scene, as in dynprep export {where} dog"
        )
    newest: dict[str, tuple[tuple[bool, float], dict[str, str], Path]] = {}
    for note in references(store).values():
        for shown, keys in note.results.items():
            # a name with a slash is a layout's folder, which knows only what it shows
            _, is_layout, scene = shown.rpartition("/")
            rank = not is_layout, note.started
            if scene not in newest or rank > newest[scene][0]:
                newest[scene] = rank, keys, Path(note.dataset_dir)
    every = {scene: keys for scene, (_, keys, _) in newest.items()}
    return Computed(store, every, newest[scenes[0]][2] if scenes[0] in newest else None)


def _of_run(where: Path) -> Computed:
    record = read_record(where)
    if "scenes" not in record or "store" not in record:
        why = record["failure"] or "has not ended"
        raise UserError(f"{where}: nothing of that run is exported: {why}")
    keys = {
        name: {stage: result["key"] for stage, result in scene["results"].items()}
        for name, scene in record["scenes"].items()
    }
    # a relative path is one of the folder that the run was started in
    folders = [Path(record["folder"], folder) for folder in record.get("datasets", [])]
    return Computed(
        Store(Path(record["store"]), may_make=False), keys, folders[0].parent if folders else None
    )


def _of_dataset(where: Path) -> Computed:
    try:
        provenance: ProvenanceShape = read_json(where / PROVENANCE, ProvenanceShape)
    except (Malformed, OSError) as error:
        raise UserError(f"{error}; name the run or the store instead") from None
    if not provenance["layout"]:
        raise UserError(
            f"{where}: is a layout's folder; name the dataset, the run or the store instead"
        )
    try:
        record = read_record(Path(provenance["run"]["folder"]))
    except UserError as error:
        raise UserError(
            f"{where}: the run that wrote it is not there ({error}); name the store, as in dynprep export STORE "
            f"{where.absolute().name} layout=…"
        ) from None
    if "store" not in record:
        raise UserError(f"{where}: the run that wrote it has not ended; name the store instead")
    keys = {stage: key for made in provenance["made_of"].values() for stage, key in made.items()}
    store = Store(Path(record["store"]), may_make=False)
    folder = Path(os.path.abspath(where))
    return Computed(store, {folder.name: keys}, folder.parent)


def _opened(computed: Computed, name: str, layout: LayoutStage) -> SceneResults:
    """A scene's results that a layout reads. Raises UserError for one that was never made, or is gone."""
    keys = computed.keys[name]
    results: dict[str, Result] = {}
    reads: tuple[type[Artefact], ...] = (Images, *layout.reads())
    for artefact in reads:
        if artefact.name not in keys:
            raise UserError(
                f"layout={layout.name} needs {artefact.name} ({artefact.what}), which was not made of {name}; run it "
                "again with that stage"
            )
        results[artefact.name] = computed.store.open_result(artefact.name, keys[artefact.name])
    return SceneResults(name, Images.read_table(results[Images.name]), results)


def _made(layout: LayoutStage, scene: SceneResults, store: Store) -> SceneResults:
    """The scene with the layout's converted files, which are made unless the store has them."""
    wanted = recipe(layout, scene.results)

    def make(writer: ItemWriter) -> None:
        layout.run(scene, writer)

    result = store.cached(wanted, make, is_view=False, item=WHOLE_SCENE)
    return SceneResults(scene.name, scene.frames, {**scene.results, layout.name: result})
