"""What a metric-depth model gives, stored as disparity in 1/m, with intrinsics.

Shapes: (H, W) pixels of ``images/``, (4,) fx, fy, cx, cy in its pixels.
"""

from functools import cached_property
from typing import Any

import numpy as np

from dynprep.arrays import BoolArray, Float64Array
from dynprep.artefacts.base import Agreement, SceneResults, Scorer, check_values
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.depth_map import DepthMap, against_depth, edges, steadiness, typical_ratio
from dynprep.artefacts.display import Curve
from dynprep.artefacts.files import Place
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import MetricMap, disparity_of
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.motion import CameraPath
from dynprep.artefacts.temporal import drift, temporal_alignment
from dynprep.artefacts.tracks import PairTracks
from dynprep.scene.frames import Frames
from dynprep.store import ItemWriter

ASSUMED_SCALE = "assumed_scale"  # among a backend's options: that nothing told it metres
_POSES = "poses.json"
_ASSUMED_UNIT = "1/unit"  # of disparity where nothing tells metres


class MetricDisparity(DepthMap):
    """``{stem}.npy`` disparity (H, W) in 1/m; beside it the frame's intrinsics, and where depth was measured."""

    name = "metric_depth"
    title = "Metric disparity (red: near)"
    what = "metric disparity (1/m), intrinsics"
    unit = "1/m"
    places = (
        Place("metric_disparity", "unidepth_disp"),
        Place("intrinsics", "unidepth_intrins.json", is_folder=False),
    )
    protocols = (("disparity",), ("disparity", "video", "median"))
    scorers = (
        Scorer("depth", against_depth, against_truth=True),
        Scorer("temporal", temporal_alignment, (Intrinsics,), against_truth=True),
        Scorer("steadiness", steadiness, (PairTracks,)),
        Scorer("drift", drift, (PairTracks, Cameras, ObjectMasks)),
        Scorer("edges", edges),
    )
    agreement = Agreement(
        "typical ratio of disparities",
        lambda a, b, stem: typical_ratio(MetricDisparity, a, b, stem),
    )

    def intrinsics(self, stem: str) -> Float64Array:
        """[fx, fy, cx, cy] (4,) of a frame, in pixels of ``images/``."""
        return np.asarray(self.files.json(_intrinsics_file(stem)), np.float64)

    @cached_property
    def clip_intrinsics(self) -> Float64Array:
        """[fx, fy, cx, cy] (4,), each the median over the clip of what belongs to the metric depth."""
        rows = [self.intrinsics(stem) for stem in self.frames.stems]
        return np.median(np.asarray(rows, np.float64), 0)

    @property
    def is_metric(self) -> bool:
        """Whether a unit is a metre; False where the scale was assumed."""
        return not self.files.options.get(ASSUMED_SCALE, False)

    def displayed_unit(self, scene: SceneResults) -> str:
        return self.unit if self.is_metric or _poses_tell_metres(scene) else _ASSUMED_UNIT

    def curves(self, scene: SceneResults) -> list[Curve]:
        return [self.quantile_curve(scene, "Metric disparity, 10, 50 and 90 %")]

    def measured(self, stem: str) -> BoolArray | None:
        """Where depth was measured (H, W); None where it is known everywhere."""
        name = _measured_file(stem)
        return self.files.image(name) > 0 if self.files.holds(name) else None

    @cached_property
    def camera_to_world(self) -> Float64Array | None:
        """Poses (T, 4, 4) in the unit of the depth, OpenCV axes, of backends that see them; None of others."""
        return np.asarray(self.files.json(_POSES), np.float64) if self.files.holds(_POSES) else None

    @staticmethod
    def write_intrinsics(writer: ItemWriter, stem: str, intrinsics: Float64Array) -> None:
        """Store [fx, fy, cx, cy] (4,) of one frame."""
        writer.json(_intrinsics_file(stem), [float(v) for v in intrinsics])

    @staticmethod
    def write_poses(writer: ItemWriter, camera_to_world: Float64Array) -> None:
        """Store the poses (T, 4, 4) that belong to the depth."""
        check_values(camera_to_world, "poses of the camera", (len(camera_to_world), 4, 4))
        writer.json(_POSES, camera_to_world.tolist())

    @classmethod
    def write(cls, writer: ItemWriter, frames: Frames, stem: str, output: MetricMap) -> None:
        """Store one frame's depth as disparity, its intrinsics, where it was measured and where there is sky."""
        check_values(output.depth_m, f"{cls.name} of frame {stem}", frames.size)
        check_values(output.intrinsics, f"intrinsics of frame {stem}", (4,))
        cls.write_map(writer, frames, stem, disparity_of(output.depth_m))
        cls.write_intrinsics(writer, stem, output.intrinsics)
        if output.valid is not None:
            check_values(output.valid, f"validity of frame {stem}", frames.size, np.bool_)
            writer.image(_measured_file(stem), output.valid)
        cls.write_sky(writer, frames, stem, output.sky)

    def as_arrays(self) -> Any:
        """Disparity (T, H, W) in 1/m and intrinsics (T, 4) in pixels of ``images/``."""
        rows = [self.intrinsics(stem) for stem in self.frames.stems]
        return super().as_arrays(), np.stack(rows)

    def composed(self) -> dict[Place, Any]:
        rows = {stem: self.files.json(_intrinsics_file(stem)) for stem in self.frames.stems}
        return {self.places[1]: rows}


def _poses_tell_metres(scene: SceneResults) -> bool:
    """Whether depth is from parallax of a path whose unit is known in metres."""
    return CameraPath in scene and scene[CameraPath].poses.metres is not None


def _intrinsics_file(stem: str) -> str:
    return f"{stem}.intrinsics.json"


def _measured_file(stem: str) -> str:
    return f"{stem}.valid.png"
