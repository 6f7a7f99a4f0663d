"""What the stages of the group ``motion`` find: optical flow, the camera's path, parallax.

Shapes: T frames, (H, W) pixels of ``images/``, (h, w) pixels of a smaller working size, (..., 2) points x, y.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Any

import cv2
import numpy as np

from dynprep.arrays import AnyArray, BoolArray, Float32Array, Float64Array, UInt8Array
from dynprep.artefacts.base import Artefact, SceneResults, check_values
from dynprep.artefacts.display import Curve, Display
from dynprep.artefacts.drawing import coloured
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.scene.frames import Frames
from dynprep.store import ItemWriter
from dynprep.vision.sampling import inside, sample

_OPENING = Lock()  # threads of one process read the files of an artefact together
_OPEN_FILES = 64  # memory-mapped flow files that one reader holds open
_OWN = "own_motion_"  # before names of arrays of the path that own motion is measured against
_FASTEST_SHOWN = 2.0  # working pixels a frame of own motion that is drawn dark red


class OpticalFlow(Artefact):
    """Dense flow from each frame to its neighbours at several distances, at half the working size.

    ``{stem}.npy``: float16 (neighbours, h, w, 2) in pixels of ``images/``, neighbours as ``neighbour_distances``
    lists them.
    """

    name = "optical_flow"
    title = "Optical flow"
    what = "flow between neighbours"
    unit = "px"
    places = ()
    picture = None
    scorers = ()
    agreement = None

    @cached_property
    def offsets(self) -> list[int]:
        """Distances, in frames, over which flow was computed both ways."""
        return list(self.files.options["offsets"])

    @staticmethod
    def write(writer: ItemWriter, frames: Frames, stem: str, flow: Float32Array) -> None:
        """Store flows (neighbours, h, w, 2) of one frame, given in shares of the image's width and height."""
        check_values(flow, f"optical flow of frame {stem}", (*flow.shape[:3], 2))
        size = np.array([frames.width, frames.height], np.float32)
        writer.array(f"{stem}.npy", (flow * size).astype(np.float16))

    @cached_property
    def _open(self) -> OrderedDict[int, AnyArray]:
        return OrderedDict()

    def _file(self, number: int) -> AnyArray:
        with _OPENING:
            if number not in self._open:
                self._open[number] = self.files.mapped(f"{self.frames.stems[number]}.npy")
                if len(self._open) > _OPEN_FILES:
                    self._open.popitem(last=False)
            self._open.move_to_end(number)
            return self._open[number]

    def field(self, query: int, target: int) -> Float32Array:
        """The stored field (h, w, 2) from frame ``query`` to frame ``target``."""
        distances = neighbour_distances(query, len(self.frames), self.offsets)
        return np.asarray(self._file(query)[distances.index(target - query)], np.float32)

    def at(self, query: int, target: int, points: AnyArray) -> Float32Array:
        """Flow (..., 2) at ``points`` (..., 2) of frame ``query``, both in pixels of ``images/``."""
        field = self.field(query, target)
        scale = np.array(
            [field.shape[1] / self.frames.width, field.shape[0] / self.frames.height], np.float32
        )
        return np.asarray(sample(field, (points + 0.5) * scale - 0.5), np.float32)

    def carried(self, ids: UInt8Array, source: int, target: int) -> UInt8Array:
        """Ids (H, W) of frame ``source`` brought to frame ``target``: what each pixel was; 0 where it was outside."""
        size = (self.frames.width, self.frames.height)
        flow = cv2.resize(self.field(target, source), size, interpolation=cv2.INTER_LINEAR)
        x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) for side in size))
        place = x + flow[..., 0], y + flow[..., 1]
        return np.asarray(cv2.remap(ids, *place, cv2.INTER_NEAREST), np.uint8)

    def there_and_back(
        self, query: int, target: int, points: AnyArray
    ) -> tuple[AnyArray, AnyArray, BoolArray]:
        """Where ``points`` (..., 2) are in ``target``, the cycle error (...) in px, and whether inside (...)."""
        flow = self.at(query, target, points)
        moved = points + flow
        back = self.at(target, query, moved)
        error = np.linalg.norm(flow + back, axis=-1)
        return moved, error, inside(moved, self.frames.height, self.frames.width)


def neighbour_distances(number: int, count: int, offsets: Sequence[int]) -> list[int]:
    """Signed distances of the neighbours that frame ``number`` of ``count`` has, in the order of the file."""
    signed = list(offsets) + [-d for d in offsets]
    return [d for d in signed if 0 <= number + d < count]


@dataclass(frozen=True)
class Poses:
    """The camera's path through the clip.

    rotation (T, 3, 3) and translation (T, 3) bring world coordinates to the camera's; lengths are in units of
    the clip's median depth. nearest, farthest: the plausible range of inverse depths. noise: typical residual
    of static points a frame, in pixels of ``images/``. metres: how many a unit is, None where that is unknown.
    focal_factor, focal_spread: where the focal length was estimated from the clip, by which factor it differs from the
    one in ``Intrinsics``, and by which share it may be off; None elsewhere. own_motion: the path that own motion is
    measured against, where that is another one.
    """

    rotation: Float64Array
    translation: Float64Array
    nearest: float
    farthest: float
    noise: float
    metres: float | None = None
    focal_factor: float | None = None
    focal_spread: float | None = None
    own_motion: "Poses | None" = None

    @property
    def moves(self) -> bool:
        """Whether the camera changes its place."""
        return bool(np.ptp(self._centres, axis=0).any())

    @property
    def _centres(self) -> Float64Array:
        """Where the camera stands (T, 3) in world coordinates."""
        centres: Float64Array = -np.einsum("tji,tj->ti", self.rotation, self.translation)
        return centres

    def relative(self, i: int, j: int) -> tuple[Float64Array, Float64Array]:
        """Rotation (3, 3) and translation (3,) that bring camera i's coordinates to camera j's."""
        rotation = self.rotation[j] @ self.rotation[i].T
        return rotation, self.translation[j] - rotation @ self.translation[i]

    def camera(self, intrinsics: Intrinsics, stem: str) -> Float64Array:
        """[fx, fy, cx, cy] (4,) of a frame's camera as the path was found with it."""
        return with_focal(
            intrinsics.of(stem), 1.0 if self.focal_factor is None else self.focal_factor
        )


def with_focal(row: Float64Array, factor: float) -> Float64Array:
    """fx, fy, cx, cy (4,) with focal lengths times ``factor``."""
    return row * np.array([factor, factor, 1.0, 1.0]) if factor != 1.0 else row


class CameraPath(Artefact):
    """The camera's poses, as ``camera_path.npz``."""

    name = "camera_path"
    title = "Camera path"
    what = "camera poses"
    unit = ""
    places = ()
    picture = None
    scorers = ()
    agreement = None

    _FILE = "camera_path.npz"

    @cached_property
    def poses(self) -> Poses:
        """The path, read once."""
        raw = self.files.arrays(self._FILE)
        own_motion = {k.removeprefix(_OWN): v for k, v in raw.items() if k.startswith(_OWN)}
        poses = _from_arrays(raw)
        return replace(poses, own_motion=_from_arrays(own_motion)) if own_motion else poses

    @property
    def own_motion(self) -> Poses:
        """The path that own motion is measured against."""
        return self.poses.own_motion or self.poses

    @classmethod
    def write(cls, writer: ItemWriter, frames: Frames, poses: Poses) -> None:
        """Store the path of a clip."""
        arrays = _checked_arrays(poses, frames)
        if poses.own_motion is not None:
            own_motion = _checked_arrays(poses.own_motion, frames)
            arrays.update({f"{_OWN}{name}": value for name, value in own_motion.items()})
        writer.arrays(cls._FILE, **arrays)


def _checked_arrays(poses: Poses, frames: Frames) -> dict[str, Float64Array]:
    """A path as arrays by name."""
    check_values(poses.rotation, "rotations of the camera", (len(frames), 3, 3))
    check_values(poses.translation, "translations of the camera", (len(frames), 3))
    numbers = np.array([poses.nearest, poses.farthest, poses.noise])
    check_values(numbers, "depth range and noise of the camera's path", (3,))
    values = {k: v for k, v in vars(poses).items() if v is not None and k != "own_motion"}
    return {name: np.asarray(value, np.float64) for name, value in values.items()}


def _from_arrays(raw: Mapping[str, AnyArray]) -> Poses:
    names = ("nearest", "farthest", "noise", "metres", "focal_factor", "focal_spread")
    numbers: dict[str, Any] = {name: float(raw[name]) for name in names if name in raw}
    return Poses(raw["rotation"], raw["translation"], **numbers)


@dataclass(frozen=True)
class Parallax:
    """What motion says of every pixel (h, w) at the working size.

    inverse_depth: 1 is the clip's median, negative where only own motion explains the flow; information: how
    well it is known, as an inverse variance; motion: own motion in working pixels a frame; measured: 1 where the
    flow to some neighbour comes back to where it started, 0 where motion is that of flow which does not.
    """

    inverse_depth: Float32Array
    information: Float32Array
    motion: Float32Array
    measured: Float32Array


class ParallaxMaps(Artefact):
    """Inverse depth, its information, own motion and where that is measured, ``{stem}.npy`` float16 (4, h, w)."""

    name = "parallax"
    title = "Own motion (dark: moves with the scene)"
    what = "inverse depth and own motion"
    unit = ""
    places = ()
    scorers = ()
    agreement = None
    display = Display.VALUES

    def of(self, stem: str) -> Parallax:
        """The maps of a frame, float32."""
        return Parallax(*self.files.array(f"{stem}.npy").astype(np.float32))

    @staticmethod
    def write(writer: ItemWriter, stem: str, maps: Float32Array) -> None:
        """Store inverse depth, information, own motion and whether it is measured (4, h, w) of one frame."""
        check_values(maps, f"parallax of frame {stem}", (4, *maps.shape[-2:]))
        # half floats hold 0.05 %; information only weighs, so its ends may be clipped
        highest = float(np.finfo(np.float16).max)
        writer.array(f"{stem}.npy", np.clip(maps, -highest, highest).astype(np.float16))

    def picture(self, scene: SceneResults, stem: str) -> UInt8Array:
        """Own motion, dark where static, at the size of ``images/``."""
        picture = coloured(self.of(stem).motion, 0.0, _FASTEST_SHOWN)
        size = (self.frames.width, self.frames.height)
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)

    def displayed(self, scene: SceneResults, stem: str) -> Float32Array:
        """Own motion (h, w) in pixels of ``images/`` a frame, NaN where the flow does not come back."""
        maps = self.of(stem)
        motion = maps.motion * (self.frames.width / maps.motion.shape[1])
        return np.where(maps.measured > 0, motion, np.float32(np.nan)).astype(np.float32)

    def displayed_unit(self, scene: SceneResults) -> str:
        return "px/frame"

    @property
    def least_span(self) -> tuple[float, float] | None:
        """From 0 to the motion that pictures draw dark red, in pixels of ``images/`` a frame."""
        working = self.of(self.frames.stems[0]).motion.shape[1]
        return 0.0, _FASTEST_SHOWN * self.frames.width / working

    def curves(self, scene: SceneResults) -> list[Curve]:
        """The share of pixels whose depth motion tells, and how well: what parallax there is."""
        known = [float((self.of(stem).inverse_depth > 0).mean()) for stem in self.frames.stems]
        return [Curve("Parallax explains", "share", {"of pixels": known}, share=True)]
