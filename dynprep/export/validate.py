"""A dataset folder held against docs/format.md."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dynprep.artefacts import Artefact
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.depth_map import DepthMap
from dynprep.artefacts.images import Images
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.tracks import PairTracks
from dynprep.dataset import DatasetScene
from dynprep.errors import UserError
from dynprep.packing.kinds import PackKind
from dynprep.packing.packed import file_name
from dynprep.scene.array_files import read_named_numbers, read_numbers
from dynprep.scene.image_files import opened
from dynprep.scene.poses.known import rigid

_SHOWN = 3  # names in a message about many files


def faults(scene: DatasetScene) -> Iterator[str]:
    """What is wrong with a scene's folder, one line each; nothing where all is as the format says."""
    yield from _stem_faults(scene)
    yield from _mixture_faults(scene)
    for artefact in Artefact.registry.values():
        if scene.has(artefact) and artefact.places[0].is_folder:
            yield from _artefact_faults(scene, artefact)
    if scene.has(MetricDisparity):
        yield from _intrinsics_faults(scene)
    if scene.has(Cameras):
        yield from _camera_faults(scene)


def describe_folders(scene: DatasetScene) -> list[str]:
    """For each folder, by which backend it was made, as far as the provenance tells."""
    folders = scene.provenance.get("folders", {})
    return [
        f"{inner}: {entry.get('stage')} by {entry.get('backend')}, key {str(entry.get('key'))[:12]}"
        for inner, entry in sorted(folders.items())
    ]


def _stem_faults(scene: DatasetScene) -> Iterator[str]:
    """Stems must be zero-padded numbers of one width that count from 0."""
    stems = scene.stems
    width = len(stems[0])
    if stems != [f"{k:0{width}d}" for k in range(len(stems))]:
        yield f"images: stems are not numbers of one width from {0:0{width}d} on, e.g. {stems[0]}, {stems[-1]}"
    folder = scene.path_of(Images)
    others = [
        p.name for p in folder.iterdir() if p.stem not in stems or p.suffix != scene.frames.suffix
    ]
    if others:
        yield f"images: holds other files too, e.g. {', '.join(sorted(others)[:_SHOWN])}"


def _mixture_faults(scene: DatasetScene) -> Iterator[str]:
    """Folders must go back to the same results, as far as the provenance tells."""
    keys: dict[str, str] = {}
    for stage, closure in scene.provenance.get("made_of", {}).items():
        for name, key in closure.items():
            if keys.setdefault(name, key) != key:
                yield f"{stage}: was made of another result of {name} than the other folders"


def _artefact_faults(scene: DatasetScene, artefact: type[Artefact]) -> Iterator[str]:
    folder = scene.path_of(artefact)
    if artefact is PairTracks and scene.packed is not None:
        yield from _packed_faults(scene, scene.packed)
        return
    try:
        names = scene.read(artefact).linked().get(artefact.places[0], [])
    except UserError as error:
        yield str(error)
        return
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        yield f"{folder.name}: {len(missing)} of {len(names)} files are missing, e.g. {missing[0]}"
    for name in names:
        path = folder / name
        if path.is_file() and (fault := _file_fault(path, scene, artefact)):
            yield f"{folder.name}/{name}: {fault}"


def _packed_faults(scene: DatasetScene, kind: PackKind) -> Iterator[str]:
    """Every query frame must have a packed file, which holds finite tracks in every target."""
    folder = scene.path_of(PairTracks)
    try:
        tracks = scene.read(PairTracks)
        names = {query: file_name(scene.stems[query], kind) for query in tracks.queries}
    except UserError as error:
        yield str(error)
        return
    missing = [name for name in names.values() if not (folder / name).is_file()]
    if missing:
        yield f"{folder.name}: {len(missing)} of {len(names)} files are missing, e.g. {missing[0]}"
    for query, name in names.items():
        if name in missing:
            continue
        try:
            every = (tracks.between(query, target) for target in tracks.targets(query))
            if not all(np.isfinite(values).all() for values in every):
                yield f"{folder.name}/{name}: holds NaN or infinity"
        except UserError as error:
            yield f"{folder.name}/{name}: {str(error).removeprefix(f'{folder / name}: ')}"


def _intrinsics_faults(scene: DatasetScene) -> Iterator[str]:
    """The intrinsics must be four numbers for every frame, focal lengths positive."""
    name = scene.path_of(MetricDisparity, 1).name
    for frame, stem in enumerate(scene.stems):
        try:
            row = scene.intrinsics(frame)
        except UserError as error:
            yield str(error)
            return
        except KeyError:
            yield f"{name}: has no row for the frame {stem}"
            continue
        if row.shape != (4,) or not np.isfinite(row).all() or not (row[:2] > 0).all():
            yield f"{name}: frame {stem} has {row.tolist()}; fx, fy above 0, cx, cy are meant"


def _camera_faults(scene: DatasetScene) -> Iterator[str]:
    """Every frame must have a pose that is a rigid motion, and intrinsics with focal lengths above 0."""
    name = scene.path_of(Cameras).name
    try:
        cameras = scene.read(Cameras).all
        rigid(cameras.camera_to_world, name)
    except UserError as error:
        yield str(error)
        return
    rows = cameras.intrinsics
    if not np.isfinite(rows).all() or not (rows[:, :2] > 0).all():
        yield f"{name}: intrinsics are fx, fy above 0, cx, cy for every frame"


def _file_fault(path: Path, scene: DatasetScene, artefact: type[Artefact]) -> str | None:
    """What is wrong with one file."""
    try:
        if path.suffix == ".npy":
            return _array_fault(read_numbers(path), scene, artefact)
        if path.suffix == ".npz":
            arrays = read_named_numbers(path).values()
            parts = (_array_fault(values, scene, artefact) for values in arrays)
            return next((fault for fault in parts if fault), None)
        if path.suffix in (".png", ".jpg"):
            with opened(path) as image:
                image.load()
                if image.size != (scene.frames.width, scene.frames.height):
                    return f"is {image.size}, the frames are {(scene.frames.width, scene.frames.height)}"
    except UserError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _array_fault(values: np.ndarray, scene: DatasetScene, artefact: type[Artefact]) -> str | None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return "holds NaN or infinity"
    is_map = issubclass(artefact, DepthMap)
    if is_map and (values.shape != scene.frames.size or values.dtype != np.float32):
        return f"is {values.dtype} {values.shape}; float32 {scene.frames.size} is meant"
    return None
