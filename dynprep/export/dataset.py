"""A scene's dataset folder, linked from the store, with its provenance."""

import json
import os
from pathlib import Path
from typing import Any

from dynprep.artefacts import Artefact
from dynprep.artefacts.images import Images
from dynprep.errors import UserError
from dynprep.export.layout import Layout
from dynprep.export.manifest import Manifest
from dynprep.files import link, sweep_temporary, write_json
from dynprep.pipeline.plan import Plan, ScenePlan
from dynprep.store.references import PROVENANCE
from dynprep.version import __version__


def exported(plan: Plan) -> list[type[Artefact]]:
    """Artefacts that a dataset of this plan holds: the frames, what was asked for, and what its own helpers made."""
    names = [Images.name]
    for name in plan.wanted:
        stage = plan.all_stages[name]
        names += [*(helper.name for helper in stage.helpers()), name]
    artefacts = [Artefact.registry[name] for name in dict.fromkeys(names)]
    return [artefact for artefact in artefacts if artefact.places]


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
        artefacts = exported(plan)
        for artefact in artefacts:
            if (inner := layout.folder(artefact)) is not None:
                _refuse(manifest.folder / inner, manifest.foreign_in(inner))
        single = [*(name for a in artefacts for name in layout.single_files(a)), PROVENANCE]
        _refuse(manifest.folder, [name for name in single if manifest.foreign(name)])


def _refuse(folder: Path, foreign: list[str]) -> None:
    if foreign:
        raise UserError(
            f"{folder}: holds {len(foreign)} files that dynprep did not write, e.g. {foreign[0]}; "
            "move them away or choose another dataset_dir"
        )


def write_dataset(
    root: Path, plan: Plan, scene: ScenePlan, layout: Layout, run: dict[str, Any]
) -> Path:
    """Make a scene's folder show its results, and return it.

    Files that a former run of dynprep put there and that no longer belong are removed, nothing else is. run: what
    the provenance says of this run.
    """
    folder = root / scene.name
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest.of(folder)
    before = set(manifest.files)
    results = scene.read()
    artefacts = [a for a in exported(plan) if a in results and plan.is_complete(a.name, scene)]
    wanted = {
        path: scene.results[artefact.name].file(file)
        for artefact in artefacts
        for file, path in layout.linked(results[artefact]).items()
    }
    # old and new are ours until all is in place: a crash in between loses track of none
    for path, source in wanted.items():
        manifest.add(path, source)
    manifest.save()
    folders = {inner: a for a in artefacts if (inner := layout.folder(a)) is not None}
    for inner in folders:
        if (folder / inner).is_dir():
            sweep_temporary(folder / inner)
    for path, source in wanted.items():
        target = folder / path
        if not (target.exists() and os.path.samefile(source, target)):
            link(source, target)
    composed = {k: v for a in artefacts for k, v in layout.composed(results[a]).items()}
    origins = {inner: _origin(artefact, scene) for inner, artefact in folders.items()}
    earlier = _provenance(folder).get("folders", {})
    composed[PROVENANCE] = {
        "dynprep": __version__,
        "scene": scene.name,
        "source": {"path": scene.source.describe(), **scene.source.identity()},
        "run": run,
        "layout": layout.names,
        "folders": {**{k: v for k, v in earlier.items() if k not in origins}, **origins},
    }
    for path, value in composed.items():
        write_json(folder / path, value)
        manifest.add(path, folder / path)
        manifest.save()
    # only in folders that this run fills: what a run did not touch stays as it was
    for path in before - wanted.keys() - composed.keys():
        if str(Path(path).parent) in folders and not manifest.foreign(path):
            (folder / path).unlink(missing_ok=True)
    manifest.settle()
    return folder


def _provenance(folder: Path) -> dict[str, Any]:
    """What the last run wrote there; empty where none did."""
    try:
        provenance = json.loads((folder / PROVENANCE).read_text())
    except (OSError, ValueError):
        return {}
    return provenance if isinstance(provenance, dict) else {}


def _origin(artefact: type[Artefact], scene: ScenePlan) -> dict[str, Any]:
    """What made a folder: backend, options, weights, keys, versions."""
    result = scene.results[artefact.name]
    seal = result.seal() or {}
    return {
        "stage": artefact.name,
        "key": result.key,
        "backend": result.recipe.backend,
        "version": [result.recipe.kind_version, result.recipe.backend_version],
        "options": result.recipe.options,
        "weights": result.recipe.weights,
        "licence": seal.get("licence"),
        "inputs": result.recipe.inputs,
        "versions": seal.get("versions", {}),
        "device": seal.get("device", ""),
        "notes": sorted({n for item in result.items().values() for n in item.notes}),
    }
