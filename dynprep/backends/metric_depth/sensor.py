"""Depth that came with the frames: RGB-D cameras, LiDAR phones, simulators."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from dynprep.arrays import AnyArray, Float32Array, Float64Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import MetricMap
from dynprep.errors import UserError
from dynprep.files import sha256_of_all
from dynprep.options import Positive
from dynprep.scene.array_files import read_numbers
from dynprep.scene.frames import match_files
from dynprep.scene.image_files import opened
from dynprep.scene.pictures import listing, scene_folder
from dynprep.scene.source import Source
from dynprep.stages.base import NEUTRAL, parallel
from dynprep.stages.metric_depth import MetricDepth
from dynprep.vision.edge_aware import spread

_SUFFIXES = (".npy", ".png")
_MILLIMETRE = 0.001  # metres
_ASPECT = 0.03  # by how much a depth map's aspect may differ from the frame's, by rounding


@dataclass(frozen=True)
class SensorSample:
    """rgb (H, W, 3), depth_m (H, W) in metres with 0 in holes, intrinsics [fx, fy, cx, cy]."""

    rgb: UInt8Array
    depth_m: Float32Array
    intrinsics: Float64Array


@dataclass
class SensorDepth(MetricDepth[SensorSample]):
    """A folder of .npy or .png, one a frame; ``value · scale`` is metres; holes are filled."""

    path: str | None = field(metadata=NEUTRAL)  # the key holds the files' content
    scale: Positive | None
    farthest: Positive
    fill: Literal["guided", "nearest"]
    strength: Positive
    sigma: Positive

    backend_id = "sensor"

    def ignored(self) -> dict[str, str]:
        guided = self.fill == "guided"
        return {} if guided else dict.fromkeys(("strength", "sigma"), "fill is not guided")

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def folder(self, source: Source) -> Path:
        """``path`` (or the folder in it called like the scene), else what came with the data."""
        if self.path is None:
            if source.sensor is None:
                raise UserError(
                    f"{source.describe()}: came without depth; give its folder as metric_depth.path,"
                    " or choose metric_depth=parallax"
                )
            return source.sensor
        return scene_folder(Path(self.path).expanduser(), source.name)

    def outside(self, source: Source) -> dict[str, str]:
        return {"depth": sha256_of_all(listing(self.folder(source), _SUFFIXES))}

    def check(self, source: Source) -> None:
        folder = self.folder(source)
        if not listing(folder, _SUFFIXES):
            raise UserError(f"{folder}: holds no .npy or .png; check metric_depth.path")

    def load(self, scene: Scene, item: str) -> SensorSample:
        folder = self.folder(scene.source)
        frames = scene.frames
        option = f"metric_depth.path={folder}"
        matched = scene.once(
            option, lambda: match_files(frames, listing(folder, _SUFFIXES), "depth maps", option)
        )
        path = matched[item]
        if path is None:
            raise UserError(f"{folder}: no depth for frame {item}; every frame needs one")
        raw = _read(path)
        scale = self.scale
        if scale is None:  # whole numbers are millimetres, as sensors write them
            scale = _MILLIMETRE if np.issubdtype(raw.dtype, np.integer) else 1.0
        depth = raw.astype(np.float32) * np.float32(scale)
        aspect = (raw.shape[1] / raw.shape[0]) / (frames.width / frames.height)
        if abs(aspect - 1) > _ASPECT:
            raise UserError(
                f"{path}: {raw.shape[1]}x{raw.shape[0]} has another shape than the frame, "
                f"{frames.width}x{frames.height}; turn or crop the depth like the frames"
            )
        good = np.isfinite(depth) & (depth > 0) & (depth <= self.farthest)
        depth = np.where(good, depth, 0).astype(np.float32)
        size = (frames.width, frames.height)
        depth = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
        if not (depth > 0).any():
            raise UserError(
                f"{path}: no value between 0 and {self.farthest:g} m; check metric_depth.scale "
                f"(now {scale:g} metres a value) and metric_depth.farthest"
            )
        return SensorSample(scene[Images].rgb(item), depth, scene[Intrinsics].of(item))

    def compute(self, samples: Sequence[SensorSample]) -> list[MetricMap]:
        return parallel(self._as_map, samples)

    def _as_map(self, s: SensorSample) -> MetricMap:
        return MetricMap(self._filled(s), s.intrinsics, s.depth_m > 0)

    def _filled(self, s: SensorSample) -> Float32Array:
        """Depth (H, W) in metres without holes."""
        valid = s.depth_m > 0
        if valid.all():
            return s.depth_m
        if self.fill == "nearest":
            rows, columns = distance_transform_edt(
                ~valid, return_distances=False, return_indices=True
            )
            return s.depth_m[rows, columns]
        # disparity is what varies linearly over planes in the image
        disparity = np.divide(1, s.depth_m, out=np.zeros_like(s.depth_m), where=valid)
        reach = (self.strength * max(s.depth_m.shape)) ** 2
        spread_out = spread(disparity, valid.astype(np.float32), s.rgb, reach, self.sigma)
        return np.where(valid, s.depth_m, 1 / np.maximum(spread_out, 1 / self.farthest)).astype(
            np.float32
        )


def _read(path: Path) -> AnyArray:
    """A depth map (H, W) as it is in the file."""
    if path.suffix.lower() == ".npy":
        values = read_numbers(path)
    else:
        with opened(path) as image:
            values = np.asarray(image)
    values = values.squeeze()
    if values.ndim != 2 or 0 in values.shape:
        raise UserError(f"{path}: shape {values.shape}; a depth map has one value a pixel")
    if values.dtype == bool:
        raise UserError(f"{path}: holds true and false, distances are meant")
    return values
