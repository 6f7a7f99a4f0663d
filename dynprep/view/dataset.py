"""A scene's dataset folder, laid out from the store by hard link, with its provenance."""

import json
import os
from pathlib import Path
from typing import Any

from dynprep import __version__
from dynprep.errors import UserError
from dynprep.files import link, sweep_temporary, write_json
from dynprep.pipeline.plan import Plan, ScenePlan
from dynprep.store.references import PROVENANCE
from dynprep.view.layout import Layout
from dynprep.view.manifest import Manifest


def shown_stages(plan: Plan) -> list[str]:
    """Stages whose results a dataset shows: what was asked for, the frames, the fits."""
    fits = ["alignment_fit"] if "alignment" in plan.wanted else []
    return ["images", *fits, *plan.wanted]


def check_dataset_dir(root: Path, plan: Plan, layout: Layout, run: dict[str, Any]) -> None:
    """Raise UserError, before any work, if a scene's folder cannot be written, holds files of
    somebody else's where the dataset's would lie, or was filled by another job of this sweep.

    run: ``folder`` of this run, and ``sweep``, the multirun that it is part of, or None.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".dynprep-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"dataset_dir={root}: cannot be written ({error.strerror}); choose another dataset_dir"
        ) from None
    for scene in plan.scenes:
        manifest = Manifest.of(root / scene.name)
        last = _provenance(manifest.folder).get("run", {})
        if run["sweep"] and last.get("sweep") == run["sweep"] and last["folder"] != run["folder"]:
            raise UserError(
                f"{manifest.folder}: another job of this sweep wrote it; leave dataset_dir out, so that "
                "each job has its own, or add a part: dataset_dir='OUT/${hydra:job.num}'"
            )
        for stage in shown_stages(plan):
            if (inner := layout.folder(stage)) is not None:
                _refuse(manifest.folder / inner, manifest.foreign_in(inner))
        single = [*layout.single_files(plan.wanted), PROVENANCE]
        _refuse(manifest.folder, [name for name in single if manifest.foreign(name)])


def _refuse(folder: Path, foreign: list[str]) -> None:
    if foreign:
        raise UserError(
            f"{folder}: holds {len(foreign)} files that dynprep did not write, e.g. {foreign[0]}; "
            "move them away or choose another dataset_dir"
        )


def lay_out(root: Path, plan: Plan, scene: ScenePlan, layout: Layout, run: dict[str, Any]) -> Path:
    """Make a scene's folder show its results; files that a former run of ours put there and that
    no longer belong are removed, nothing else is. Returns the folder."""
    folder = root / scene.name
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest.of(folder)
    before = set(manifest.files)
    results = {
        name: scene.results[name]
        for name in scene.results
        if name in shown_stages(plan) and plan.complete(name, scene)
    }
    wanted = {
        relative: result.file(file)
        for name, result in results.items()
        for file, relative in layout.linked(name, result, scene.frames).items()
    }
    # old and new are ours until all is in place: a crash in between loses track of none
    for relative, source in wanted.items():
        manifest.add(relative, source)
    manifest.save()
    filled = {inner for name in results if (inner := layout.folder(name)) is not None}
    for inner in filled:
        if (folder / inner).is_dir():
            sweep_temporary(folder / inner)
    for relative, source in wanted.items():
        target = folder / relative
        if not (target.exists() and os.path.samefile(source, target)):
            link(source, target)
    composed = layout.composed(results, scene.frames)
    shown = {inner: _origin(n, scene) for n in results if (inner := layout.folder(n)) is not None}
    kept = {k: v for k, v in _provenance(folder).get("folders", {}).items() if k not in shown}
    composed[PROVENANCE] = {
        "dynprep": __version__,
        "scene": scene.name,
        "source": {"path": scene.source.describe(), **scene.source.identity()},
        "run": run,
        "folders": {**kept, **shown},
    }
    for relative, value in composed.items():
        write_json(folder / relative, value)
        manifest.add(relative, folder / relative)
        manifest.save()
    # only in folders that this run fills: what a run did not touch stays as it was
    for relative in before - wanted.keys() - composed.keys():
        if str(Path(relative).parent) in filled and not manifest.foreign(relative):
            (folder / relative).unlink(missing_ok=True)
    manifest.settle()
    return folder


def _provenance(folder: Path) -> dict[str, Any]:
    """What the last run wrote there; empty where none did."""
    try:
        found = json.loads((folder / PROVENANCE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _origin(name: str, scene: ScenePlan) -> dict[str, Any]:
    """What made a folder: backend, options, weights, keys, versions."""
    result = scene.results[name]
    seal = result.seal() or {}
    return {
        "stage": name,
        "key": result.key,
        "backend": result.recipe.backend,
        "version": result.recipe.version,
        "options": result.recipe.options,
        "weights": result.recipe.weights,
        "licence": seal.get("licence"),
        "inputs": result.recipe.inputs,
        "versions": seal.get("versions", {}),
        "device": seal.get("device", ""),
        "notes": sorted({n for item in result.items().values() for n in item.notes}),
    }
