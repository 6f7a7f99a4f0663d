"""A scene's dataset folder, laid out from the store by hard link, with its provenance."""

import json
import os
from pathlib import Path
from typing import Any

from dynprep import __version__
from dynprep.errors import UserError
from dynprep.files import link, write_json
from dynprep.pipeline.plan import Plan, ScenePlan
from dynprep.view.layout import Layout

PROVENANCE = "dynprep.json"
MANIFEST = "dynprep_files.json"  # what we wrote, so that nobody else's file is ever touched


def _ours(folder: Path) -> dict[str, int]:
    """Size of each file that dynprep wrote in a scene's folder, by relative path."""
    try:
        return {str(k): int(v) for k, v in json.loads((folder / MANIFEST).read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"{folder / MANIFEST}: not readable ({error}); choose another dataset_dir"
        ) from None


def _is_ours(path: Path, relative: str, ours: dict[str, int]) -> bool:
    return relative in ours and path.stat().st_size == ours[relative]


def check_dataset_dir(root: Path, plan: Plan, layout: Layout) -> None:
    """Raise UserError, before any work, if a scene's folder cannot be written or holds files of
    somebody else's where the trainer would read them."""
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
        folder = root / scene.name
        ours = _ours(folder)
        for stage in shown_stages(plan):
            inner = layout.folder(stage)
            if inner is None or not (folder / inner).is_dir():
                continue
            foreign = [
                path
                for path in sorted((folder / inner).iterdir())
                if not _is_ours(path, f"{inner}/{path.name}", ours)
            ]
            if foreign:
                raise UserError(
                    f"{folder / inner}: holds {len(foreign)} files that dynprep did not write, e.g. "
                    f"{foreign[0].name}; move them away or choose another dataset_dir"
                )


def shown_stages(plan: Plan) -> list[str]:
    """Stages whose results a dataset shows: what was asked for, the frames, the fits."""
    fits = ["alignment_fit"] if "alignment" in plan.wanted else []
    return ["images", *fits, *plan.wanted]


def lay_out(root: Path, plan: Plan, scene: ScenePlan, layout: Layout, run: dict[str, Any]) -> Path:
    """Make a scene's folder show its results; files that a former run of ours put there and that
    no longer belong are removed, nothing else is. Returns the folder."""
    folder = root / scene.name
    before = _ours(folder)
    wanted: dict[str, Path] = {}
    shown: dict[str, Any] = {}
    results = {
        name: scene.results[name]
        for name in scene.results
        if name in shown_stages(plan) and plan.complete(name, scene)
    }
    for name, result in results.items():
        for file, relative in layout.linked(name, result, scene.frames).items():
            wanted[relative] = result.file(file)
        if (inner := layout.folder(name)) is not None:
            shown[inner] = _origin(name, scene)
    composed = layout.composed(results, scene.frames)
    # the manifest covers old and new until all is in place: a crash in between loses track of none
    sizes = {relative: source.stat().st_size for relative, source in wanted.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MANIFEST, {**before, **sizes})
    for relative, source in wanted.items():
        target = folder / relative
        if not (target.exists() and os.path.samefile(source, target)):
            link(source, target)
    for relative, value in composed.items():
        write_json(folder / relative, value)
        sizes[relative] = (folder / relative).stat().st_size
    # only in folders that this run fills: what a run did not touch stays as it was
    filled = {str(Path(relative).parent) for relative in sizes} - {"."}
    for relative in before.keys() - sizes.keys():
        path = folder / relative
        if str(Path(relative).parent) in filled:
            if path.is_file() and _is_ours(path, relative, before):
                path.unlink()
        else:
            sizes[relative] = before[relative]
    earlier = _provenance(folder).get("folders", {})
    kept = {inner: entry for inner, entry in earlier.items() if inner not in shown}
    write_json(
        folder / PROVENANCE,
        {
            "dynprep": __version__,
            "scene": scene.name,
            "source": {"path": scene.source.describe(), **scene.source.identity()},
            "run": run,
            "folders": {**kept, **shown},
        },
    )
    write_json(folder / MANIFEST, sizes)
    return folder


def _provenance(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / PROVENANCE).read_text()))
    except (FileNotFoundError, ValueError):
        return {}


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
        "inputs": result.recipe.inputs,
        "versions": seal.get("versions", {}),
        "device": seal.get("device", ""),
        "notes": sorted({n for item in result.items().values() for n in item.notes}),
    }
