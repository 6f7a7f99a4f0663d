"""Poses that are known: read from a file, held against the optical flow, and used wherever the camera's path is.

Shapes: T frames, N points of a grid over the image.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dynprep.arrays import Float64Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.motion import Poses
from dynprep.backends.poses.parallax import ParallaxPoses
from dynprep.errors import UserError
from dynprep.files import sha256
from dynprep.options import OpenShare, Positive
from dynprep.scene.frames import Frames
from dynprep.scene.poses import read_poses
from dynprep.scene.poses.known import OPENGL, inverted
from dynprep.scene.poses.read import pose_file
from dynprep.scene.resolution import expected_frames
from dynprep.scene.source import Source
from dynprep.stages.base import NEUTRAL, Stage
from dynprep.stages.camera_path import INVERSE_DEPTHS, CameraPathStage, GridClip, triangulated
from dynprep.vision.bundle import BundleState, relative
from dynprep.vision.epipolar import triangulate
from dynprep.vision.sliding import Links, MeasuredPath, windows

_NEAR = 3.0  # pixels from where a pose says that a point is, up to which it fits
_CLEARLY = 1.2  # times as many points fit by another reading that is to be believed
_GIVEN = "as they are"
_READINGS: dict[str, Callable[[Float64Array], Float64Array]] = {
    # what a file's poses may be, and what makes of them camera to world with OpenCV axes
    _GIVEN: lambda poses: poses,
    "of OpenGL axes (y up, z backward)": lambda poses: poses @ OPENGL,
    "world to camera": inverted,
    "world to camera with OpenGL axes": lambda poses: inverted(OPENGL @ poses),
}


@dataclass
class KnownPath(CameraPathStage):
    """The camera's path from a file; what static points tell of depth is measured along it."""

    path: str | None = field(metadata=NEUTRAL)  # its content is in the key
    metres: Positive | None
    fits: OpenShare
    plausible: list[float]

    backend_id = "known"

    @property
    def _where(self) -> str:
        return f"poses.path={self.path}"

    def _file(self) -> Path:
        if self.path is None:
            raise UserError("poses=file: name the file of poses, poses.path=FILE")
        return Path(self.path).expanduser()

    def outside(self, source: Source) -> dict[str, str]:
        return {"poses": sha256(pose_file(self._file()))}

    def check(self, source: Source) -> None:
        frames = expected_frames(source.probe(), self.context.resolution)
        read_poses(self._file()).of(frames, self._where)

    def _path(self, scene: Scene) -> tuple[Poses, list[str]]:
        known = read_poses(self._file())
        poses = known.of(scene.frames, self._where)
        world_to_camera = inverted(poses)
        count = len(poses)
        if count < 2:
            return Poses(np.eye(3)[None], np.zeros((1, 3)), 1.0, 1.0, 0.0), []
        clip = GridClip.of(scene, self.grid(scene.frames))
        measured, fitting = MeasuredPath(count), _Fitting(poses)
        depths: list[Float64Array] = []
        for start, end in windows(count, self.window, self.overlap):
            links = self.links(scene, clip, start, end)
            fitting.look(clip, links, start)
            state = BundleState(
                clip.points,
                world_to_camera[start:end, :3, :3],
                world_to_camera[start:end, :3, 3],
                np.ones((end - start, len(clip.points))),
            )
            z, is_known = triangulated(state, links, self.sigma * clip.pixel)
            depths.append(z[is_known])
            # what nothing tells is taken to lie in the middle
            state.inverse_depth = np.where(
                is_known, z, np.median(z[is_known]) if is_known.any() else 1.0
            )
            measured.add(start, self.overlap // 2, state, links, self.sigma * clip.pixel)
        fitting.check(self.fits, self._where)
        every = np.concatenate(depths)
        middle = float(np.median(every)) if len(every) else 1.0
        measured.rescale(middle, INVERSE_DEPTHS)
        summary, notes = self.summary(measured, clip, scene.frames)
        metres = self._metres(known.is_metric, middle, summary)
        return Poses(**{**vars(summary), "metres": metres}), notes

    def _metres(self, is_metric: bool, middle: float, poses: Poses) -> float | None:
        """Metres of the path's unit, the clip's median depth; ``middle`` is its inverse in the file's unit."""
        unit = self.metres if self.metres is not None else (1.0 if is_metric else None)
        if unit is None or not poses.moves:
            return None
        metres = unit / middle
        if not self.plausible[0] <= metres <= self.plausible[1]:
            raise UserError(
                f"{self._where}: with poses in metres the clip's median depth would be {metres:.3g} m; say how many "
                "metres a unit of the file is (poses.metres=0.001 for millimetres), or widen "
                f"poses.plausible={self.plausible}"
            )
        return metres

    def disk_bytes(self, frames: Frames) -> int:
        return 2000 + 96 * len(frames)


@dataclass
class _Fitting:
    """How many points are seen where poses (T, 4, 4) say, by each reading of them."""

    poses: Float64Array
    _fit: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_READINGS, 0))
    _seen: int = 0

    def look(self, clip: GridClip, links: Links, start: int) -> None:
        """Count the points of a window's links."""
        self._seen += sum(int((link.weight > 0).sum()) for link in links.values())
        length = 1 + max((max(pair) for pair in links), default=0)
        for reading, read in _READINGS.items():
            moved = inverted(read(self.poses[start : start + length]))
            ones = np.ones((length, len(clip.points)))
            state = BundleState(clip.points, moved[:, :3, :3], moved[:, :3, 3], ones)
            for pair, link in links.items():
                z, information, off = triangulate(state.rays, link.seen, *relative(state, *pair))
                near = _NEAR * clip.pixel
                # a point that lies behind the camera would be seen on the wrong side of infinity
                fit = (off < near) & (z * np.sqrt(information) > -near) & (link.weight > 0)
                self._fit[reading] += int(fit.sum())

    def check(self, least: float, where: str) -> None:
        """Raise UserError where fewer than a share ``least`` of the points fit, and say by which reading more would."""
        if not self._seen:
            return
        share_given = self._fit[_GIVEN] / self._seen
        best = max(self._fit, key=lambda reading: self._fit[reading])
        share = self._fit[best] / self._seen
        if share_given >= least and not (best != _GIVEN and share > _CLEARLY * share_given):
            return
        hint = "they may be of another clip or in another order, or the intrinsics are wrong (camera.file)"
        if best != _GIVEN and share >= least:
            hint = f"read as {best}, {share:.0%} would be: bring them to camera to world with OpenCV axes"
        raise UserError(
            f"{where}: {share_given:.0%} of the points that the flow follows are where these poses say; {hint}"
        )


@dataclass
class FilePoses(ParallaxPoses):
    """Poses from a file, used as the camera's path everywhere."""

    path: str | None = field(metadata=NEUTRAL)
    metres: Positive | None = field(metadata=NEUTRAL)
    fits: OpenShare = field(metadata=NEUTRAL)
    plausible: list[float] = field(metadata=NEUTRAL)
    points: int = field(metadata=NEUTRAL)
    reach: int = field(metadata=NEUTRAL)
    cycle_error: float = field(metadata=NEUTRAL)
    sigma: float = field(metadata=NEUTRAL)
    window: int = field(metadata=NEUTRAL)
    overlap: int = field(metadata=NEUTRAL)
    least_parallax: float = field(metadata=NEUTRAL)
    range_error: float = field(metadata=NEUTRAL)
    range_share: float = field(metadata=NEUTRAL)
    range_margin: float = field(metadata=NEUTRAL)

    backend_id = "file"

    def __post_init__(self) -> None:
        if len(self.plausible) != 2 or not 0 < self.plausible[0] < self.plausible[1]:
            raise ValueError(
                f"plausible is {self.plausible}; two growing depths in metres are meant"
            )

    @property
    def tells_scale(self) -> bool:
        return True  # the file may be in metres whatever ``scale`` says

    def helpers(self) -> list[Stage]:
        return [self.derive(KnownPath)]
