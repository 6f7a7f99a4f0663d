"""The camera of every frame as a dataset holds it: where it stands, how it is turned, its intrinsics.

Shapes: T frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

import numpy as np

from dynprep.arrays import Float64Array
from dynprep.artefacts.base import Artefact, SceneResults, Scorer, Scores, check_values
from dynprep.artefacts.files import Place
from dynprep.errors import UserError
from dynprep.foreign import check
from dynprep.scene.frames import Frames
from dynprep.scene.truth import Truth
from dynprep.store import ItemWriter

CAMERAS_FORMAT = 1
AXES = "opencv"  # x to the right, y down, z forward
METRES, ASSUMED_METRES = "m", "assumed m"  # what lengths are counted in, as metric depth is
UNIT_OF_CLIP = "median depth of the clip"  # where nothing tells metres
_FILE = "cameras.json"


class CameraShape(TypedDict):
    """One frame's camera: its file's stem, the pose (4, 4), and fx, fy, cx, cy."""

    stem: str
    camera_to_world: list[list[float]]
    intrinsics: list[float]


class CamerasShape(TypedDict):
    """``cameras.json``, as docs/format.md describes it."""

    format: int
    axes: str
    width: int
    height: int
    unit: str
    is_metric: bool
    metric_spread: float | None
    intrinsics_known: bool
    backend: str
    frames: list[CameraShape]


@dataclass(frozen=True)
class CameraSet:
    """Cameras of all frames of a clip.

    camera_to_world (T, 4, 4): OpenCV axes, rigid; intrinsics (T, 4): fx, fy, cx, cy in pixels of ``images/``; unit: of
    lengths, ``m`` or what they are counted in; metric_spread: by how much single frames differ about the unit, as a
    share, None where it was not measured; backend: what the poses are from.
    """

    camera_to_world: Float64Array
    intrinsics: Float64Array
    unit: str
    is_metric: bool
    metric_spread: float | None
    intrinsics_known: bool
    backend: str

    @property
    def centres(self) -> Float64Array:
        """Where the camera stands (T, 3)."""
        return self.camera_to_world[:, :3, 3]

    @property
    def shares_unit_with_depth(self) -> bool:
        """Whether lengths are counted in what metric depth is counted in, metres or what stands for them."""
        return self.unit != UNIT_OF_CLIP


def _against_poses(artefact: type[Artefact], scene: SceneResults, truth: Truth) -> Scores:
    """ATE and RPE against the true poses, after a similarity (the definitions of ``evo``)."""
    from dynprep.metrics.trajectory import trajectory_scores

    poses = truth.camera_to_world
    if poses is None or len(poses) <= max(frame.index for frame in scene.frames.table):
        return {}
    true = poses[[frame.index for frame in scene.frames.table]]
    scores = trajectory_scores(scene[Cameras].all.camera_to_world, true)
    return {f"{artefact.name}/{name}": value for name, value in scores.items()}


class Cameras(Artefact):
    """``cameras.json``: poses and intrinsics of every frame, the unit of length, and what it is from."""

    name = "cameras"
    title = "Cameras"
    what = "camera poses (camera to world), intrinsics"
    unit = "m"
    places = (Place(None, _FILE, is_folder=False),)
    picture = None
    scorers = (Scorer("trajectory", _against_poses, against_truth=True),)
    agreement = None

    @cached_property
    def all(self) -> CameraSet:
        """The cameras, read once. Raises UserError for a file that is damaged or of another format."""
        raw = self.files.json(_FILE)
        check(raw, CamerasShape, _FILE)
        content: CamerasShape = raw
        if content["format"] != CAMERAS_FORMAT or content["axes"] != AXES:
            raise UserError(
                f"{_FILE}: format {content['format']} with axes {content['axes']}; "
                f"{CAMERAS_FORMAT} with {AXES} is meant"
            )
        try:
            poses = np.array([f["camera_to_world"] for f in content["frames"]], np.float64)
            rows = np.array([f["intrinsics"] for f in content["frames"]], np.float64)
        except ValueError:
            poses = rows = np.zeros(0)
        if poses.shape != (len(self.frames), 4, 4) or rows.shape != (len(self.frames), 4):
            raise UserError(f"{_FILE}: not {len(self.frames)} poses of 4 x 4 with intrinsics of 4")
        return CameraSet(
            poses,
            rows,
            content["unit"],
            content["is_metric"],
            content["metric_spread"],
            content["intrinsics_known"],
            content["backend"],
        )

    @staticmethod
    def write(writer: ItemWriter, frames: Frames, cameras: CameraSet) -> None:
        """Store the cameras of a clip."""
        count = len(frames)
        check_values(cameras.camera_to_world, "poses of the camera", (count, 4, 4))
        check_values(cameras.intrinsics, "intrinsics of the camera", (count, 4))
        rows: Sequence[CameraShape] = [
            {"stem": stem, "camera_to_world": pose.tolist(), "intrinsics": row.tolist()}
            for stem, pose, row in zip(
                frames.stems, cameras.camera_to_world, cameras.intrinsics, strict=True
            )
        ]
        content: dict[str, Any] = {
            "format": CAMERAS_FORMAT,
            "axes": AXES,
            "width": frames.width,
            "height": frames.height,
            "unit": cameras.unit,
            "is_metric": cameras.is_metric,
            "metric_spread": cameras.metric_spread,
            "intrinsics_known": cameras.intrinsics_known,
            "backend": cameras.backend,
            "frames": rows,
        }
        writer.json(_FILE, content)

    def linked(self) -> dict[Place, list[str]]:
        return {self.places[0]: [_FILE]}

    def as_arrays(self) -> Any:
        """Poses (T, 4, 4), camera to world, and intrinsics (T, 4)."""
        return self.all.camera_to_world, self.all.intrinsics
