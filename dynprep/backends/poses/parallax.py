"""Poses measured from the clip itself, brought to metres where something tells metres.

Shapes: T frames, (h, w) pixels of the working size of ``motion``.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from dynprep.arrays import Float64Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.cameras import (
    ASSUMED_METRES,
    METRES,
    UNIT_OF_CLIP,
    Cameras,
    CameraSet,
)
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.motion import CameraPath, ParallaxMaps, Poses
from dynprep.options import OpenShare, Positive
from dynprep.stages.cameras import CameraPoses
from dynprep.store import ItemWriter

_DEVIATION = 1.4826  # a normal distribution's standard deviation in median absolute deviations


@dataclass
class ParallaxPoses(CameraPoses):
    """The camera's path by optical flow and bundle adjustment (``motion.odometry``), in metres by a fit to metric depth
    over pixels that stand still."""

    scale: Literal["metric_depth", "none"]
    certain: Positive
    still: Positive
    least: OpenShare
    doubtful: Positive

    backend_id = "parallax"

    def reads(self) -> tuple[type[Artefact], ...]:
        fitted = (MetricDisparity, ParallaxMaps) if self.scale == "metric_depth" else ()
        return (Images, Intrinsics, CameraPath, *fitted)

    @property
    def tells_scale(self) -> bool:
        return self.scale != "none"

    def ignored(self) -> dict[str, str]:
        options = ("certain", "still", "least", "doubtful")
        return dict.fromkeys(options, "scale is none") if self.scale == "none" else {}

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        poses, stems = scene[CameraPath].poses, scene.frames.stems
        length, unit, is_metric, spread = 1.0, UNIT_OF_CLIP, False, None
        if not poses.moves:
            writer.note(
                "the camera stays in one place: its poses say how it turns and nothing of the scene's size; trainers "
                "that need a moving camera will not work with this clip"
            )
        elif poses.metres is not None:
            length, unit, is_metric = poses.metres, METRES, True
        elif self.scale == "metric_depth":
            length_and_spread = self._metres(scene, poses)
            if length_and_spread is None:
                writer.note(
                    "the camera's path was not brought to metres: no frame has enough pixels that stand still and show "
                    "parallax"
                )
            else:
                length, spread = length_and_spread
                is_metric = scene[MetricDisparity].is_metric
                unit = METRES if is_metric else ASSUMED_METRES
                if spread > self.doubtful:
                    writer.note(
                        f"the camera's path fits to metric depth to {spread:.0%} alone: metric depth changes its scale "
                        "from frame to frame, or the path does"
                    )
        Cameras.write(
            writer,
            scene.frames,
            CameraSet(
                _camera_to_world(poses, length),
                np.stack([poses.camera(scene[Intrinsics], stem) for stem in stems]),
                unit,
                is_metric,
                spread,
                scene[Intrinsics].known,
                self.backend_id,
            ),
        )

    def _metres(self, scene: Scene, poses: Poses) -> tuple[float, float] | None:
        """How many metres the path's unit is, and by which share single frames differ; None where nothing tells it."""
        ratios = [
            ratio
            for stem in scene.frames.stems
            if (ratio := self._metres_of(scene, poses, stem)) is not None
        ]
        if not ratios:
            return None
        metres = float(np.median(ratios))
        off = np.abs(np.log(np.array(ratios) / metres))
        return metres, float(np.expm1(_DEVIATION * np.median(off)))

    def _metres_of(self, scene: Scene, poses: Poses, stem: str) -> float | None:
        """The same of one frame: the median over pixels that stand still and whose depth parallax knows."""
        maps = scene[ParallaxMaps].of(stem)
        size = maps.inverse_depth.shape[1::-1]
        disparity = cv2.resize(
            scene[MetricDisparity].of(stem), size, interpolation=cv2.INTER_NEAREST
        )
        used = (maps.information > 1 / self.certain**2) & (disparity > 0)
        used &= (maps.inverse_depth > poses.farthest) & (maps.inverse_depth < poses.nearest)
        shrink = (
            size[0] / scene.frames.width
        )  # own motion is in working pixels, noise in those of images/
        noise = scene[CameraPath].own_motion.noise * shrink
        used &= maps.motion < self.still * max(noise, float(np.median(maps.motion)))
        if used.mean() < self.least:
            return None
        return float(np.median(maps.inverse_depth[used] / disparity[used]))


def _camera_to_world(poses: Poses, length: float) -> Float64Array:
    """Poses (T, 4, 4), lengths times ``length``."""
    count = len(poses.rotation)
    world_to_camera = np.tile(np.eye(4), (count, 1, 1))
    world_to_camera[:, :3, :3] = poses.rotation
    world_to_camera[:, :3, 3] = poses.translation * length
    # a rotation's inverse is its transpose, which stays a rotation where a general inverse would not
    camera_to_world = np.tile(np.eye(4), (count, 1, 1))
    turned = np.swapaxes(poses.rotation, 1, 2)
    camera_to_world[:, :3, :3] = turned
    camera_to_world[:, :3, 3] = -np.einsum("tij,tj->ti", turned, world_to_camera[:, :3, 3])
    return camera_to_world + 0.0  # no zero is negative
