"""Datasets that dynprep wrote, read back through the artefacts' classes.

Shapes: T frames, (H, W) pixels of ``images/``, N points; pixel centres are whole numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np

from dynprep.arrays import AnyArray, BoolArray, Float32Array, Float64Array, UInt8Array
from dynprep.artefacts import Artefact
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.files import Place
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.points import PointTrajectories, Trajectories
from dynprep.artefacts.prior import DepthPrior
from dynprep.artefacts.relative_disparity import RelativeDisparity
from dynprep.artefacts.tracks import PairTracks
from dynprep.errors import UserError
from dynprep.foreign import Malformed, is_inside, read_json, shown
from dynprep.packing.kinds import CONTAINERS, PackKind
from dynprep.packing.reader import PackedTrackFiles
from dynprep.scene.array_files import read_named_numbers, read_numbers
from dynprep.scene.frames import Frame, Frames
from dynprep.scene.image_files import opened
from dynprep.scene.pictures import listing
from dynprep.store.references import PROVENANCE

AnArtefact = TypeVar("AnArtefact", bound=Artefact)


class _FolderShape(TypedDict, total=False):
    """What a provenance says of one folder."""

    stage: str
    backend: str
    key: str
    options: dict[str, Any]
    pack: PackKind | None
    licence: str | None


class _Provenance(TypedDict, total=False):
    """A provenance, as far as it is there: the folder may come from elsewhere."""

    layout: dict[str, str]
    folders: dict[str, _FolderShape]
    made_of: dict[str, dict[str, str]]


@dataclass(frozen=True)
class DatasetFiles:
    """The files of one artefact in a dataset, where they lie, and the options that they were made with."""

    folder: Path
    options: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """Where the file ``name`` lies."""
        return self.folder / name

    def array(self, name: str) -> AnyArray:
        """The array in the .npy file ``name``."""
        return read_numbers(self.file(name))

    def mapped(self, name: str) -> AnyArray:
        """The array in the .npy file ``name``, read from the disk when it is used."""
        return read_numbers(self.file(name), mapped=True)

    def holds(self, name: str) -> bool:
        """Whether there is a file ``name``."""
        return self.file(name).is_file()

    def arrays(self, name: str) -> dict[str, AnyArray]:
        """The arrays in the .npz file ``name``."""
        return read_named_numbers(self.file(name))

    def image(self, name: str) -> AnyArray:
        """The pixels of the image file ``name``."""
        with opened(self.file(name)) as image:
            return np.asarray(image)

    def json(self, name: str) -> Any:
        """The value in the JSON file ``name``."""
        return read_json(self.file(name), Any)


class _Options(dict[str, Any]):
    """Options by name; a name that is asked for and not there is the dataset's fault."""

    folder: Path

    def __missing__(self, name: str) -> Any:
        raise UserError(
            f"{self.folder}: {PROVENANCE} beside it does not say with which option {name} it was "
            f"made; put back the {PROVENANCE} that dynprep wrote"
        )


class DatasetScene:
    """One scene of a dataset. Frames are counted from 0; ``len`` is how many there are."""

    def __init__(self, folder: Path) -> None:
        """Open the scene in ``folder``: its provenance, and the names and the size of its frames, are read.

        Raises UserError where there are no frames.
        """
        self.folder, self.name = folder, folder.name
        self.provenance = self._read_provenance()
        self.frames = self._read_frames()

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        height, width = self.frames.size
        return f"DatasetScene({str(self.folder)!r}: {len(self)} frames of {width}x{height})"

    @property
    def stems(self) -> list[str]:
        """Stems of the frames, which name their files in every folder."""
        return self.frames.stems

    def rgb(self, frame: int) -> UInt8Array:
        """The frame, RGB uint8 (H, W, 3)."""
        return self.read(Images).rgb(self.stems[frame])

    def masks(self, frame: int) -> BoolArray:
        """The object mask (H, W), true on objects."""
        return self.read(ObjectMasks).of(self.stems[frame])

    def metric_disparity(self, frame: int) -> Float32Array:
        """Metric disparity (H, W) in 1/m."""
        return self.read(MetricDisparity).of(self.stems[frame])

    def relative_disparity(self, frame: int) -> Float64Array:
        """Affine-invariant disparity (H, W) in [0, 1], near is large; its scale is the frame's own."""
        return self.read(RelativeDisparity).unit_disparity(self.stems[frame])

    def aligned_disparity(self, frame: int) -> Float32Array:
        """Relative disparity brought to metric disparity (H, W) in 1/m; 0 is invalid."""
        return self.read(AlignedDisparity).of(self.stems[frame])

    def depth_prior(self, frame: int) -> Float32Array:
        """Affine-invariant depth (H, W) in [0, 1], 0 is near."""
        return self.read(DepthPrior).of(self.stems[frame])

    def intrinsics(self, frame: int) -> Float64Array:
        """[fx, fy, cx, cy] (4,) in pixels of ``images/``."""
        return np.asarray(self._intrinsics[self.stems[frame]], np.float64)

    def camera_to_world(self, frame: int) -> Float64Array:
        """The camera's pose (4, 4), OpenCV axes; ``scene.read(Cameras).all`` says in which unit."""
        return self.read(Cameras).all.camera_to_world[frame]

    def tracks(self, query: int, target: int) -> Float32Array:
        """Where a query frame's pixels are in a target frame (N, 4): x, y, occlusion, confidence.

        x, y are in pixels of ``images/``, the others in [0, 1], in whatever form they were written.
        """
        return self.read(PairTracks).between(query, target)

    def track_pairs(self) -> list[tuple[int, int]]:
        """All pairs (query, target) that there are tracks for, self pairs included."""
        tracks = self.read(PairTracks)
        return [(query, target) for query in tracks.queries for target in tracks.targets(query)]

    def points(self, kind: str) -> Trajectories:
        """Trajectories in 3D of the object's points (``fg``) or the background's (``bg``)."""
        return self.read(PointTrajectories).of(kind)

    def path_of(self, artefact: type[Artefact], place: int = 0) -> Path:
        """The path of an artefact's files; place: which of the class's ``places``, counted from 0."""
        return self._path(artefact.places[place])

    def has(self, artefact: type[Artefact]) -> bool:
        """Whether the dataset holds that artefact's folder or file."""
        return bool(artefact.places) and self._path(artefact.places[0]).exists()

    def read(self, artefact: type[AnArtefact]) -> AnArtefact:
        """The scene's artefact of that class. Raises UserError where the dataset does not hold it."""
        path = self._path(artefact.places[0])
        if not path.exists():
            raise UserError(
                f"{path}: the dataset has no {artefact.what}; run the stage {artefact.name}"
            )
        inner = str(path.relative_to(self.folder))
        options = _Options(self.provenance.get("folders", {}).get(inner, {}).get("options", {}))
        options.folder = path
        folder = path if artefact.places[0].is_folder else path.parent
        files = DatasetFiles(folder, options)
        if artefact is PairTracks and (kind := self.packed) is not None:
            return artefact(PackedTrackFiles(files, kind), self.frames)
        return artefact(files, self.frames)

    @property
    def packed(self) -> PackKind | None:
        """How the tracks are packed; None where every pair has its file, or there are no tracks."""
        inner = str(self.path_of(PairTracks).relative_to(self.folder))
        kind = self.provenance.get("folders", {}).get(inner, {}).get("pack")
        if kind is not None and kind not in CONTAINERS:
            raise UserError(
                f"{self.folder / PROVENANCE}: tracks are packed as {shown(kind)}, which is not known here; use the "
                "dynprep that wrote it"
            )
        return kind

    def _path(self, place: Place) -> Path:
        names = self.provenance.get("layout", {})
        return self.folder / names.get(place.option or "", place.default)

    @cached_property
    def _intrinsics(self) -> dict[str, list[float]]:
        path = self._path(MetricDisparity.places[1])
        if not path.is_file():
            raise UserError(
                f"{path}: the dataset has no intrinsics; run the stage {MetricDisparity.name}"
            )
        rows: dict[str, list[float]] = read_json(path, dict[str, list[float]])
        return rows

    def _read_provenance(self) -> _Provenance:
        path = self.folder / PROVENANCE
        try:
            values: _Provenance = read_json(path, _Provenance)
        except FileNotFoundError:
            return {}
        except (Malformed, OSError) as error:
            raise UserError(f"{error}; put back the {PROVENANCE} that dynprep wrote") from None
        if values.get("layout") == {} and values.get("made_of"):
            raise UserError(
                f"{self.folder}: is a folder of layout={', '.join(values['made_of'])}; a scene of a dataset is meant"
            )
        for name in values.get("layout", {}).values():
            if not is_inside(name):
                raise UserError(f"{path}: '{name}' lies elsewhere")
        return values

    def _read_frames(self) -> Frames:
        folder = self._path(Images.places[0])
        files = listing(folder) if folder.is_dir() else []
        if not files:
            raise UserError(f"{self.folder}: no scene of a dataset: {folder} holds no frames")
        with opened(files[0]) as image:
            width, height = image.size
        table = tuple(Frame(path.stem, k, float("nan"), path.stem) for k, path in enumerate(files))
        return Frames(table, files[0].suffix, height, width, height, width)
