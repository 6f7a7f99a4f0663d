"""Depth that came with the frames: RGB-D cameras, LiDAR phones, simulators."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import distance_transform_edt

from dynprep.errors import UserError
from dynprep.files import read_array, sha256_of_all
from dynprep.scene.pictures import listing, unreadable
from dynprep.scene.source import Source
from dynprep.stages.base import each
from dynprep.stages.inputs import Inputs, match_files
from dynprep.stages.maps import MetricMap
from dynprep.stages.metric_depth import MetricDepth
from dynprep.vision.edge_aware import spread

_SUFFIXES = (".npy", ".png")
_MILLIMETRE = 0.001  # metres
_ASPECT = 0.03  # by how much a depth map's aspect may differ from the frame's, by rounding


@dataclass(frozen=True)
class Sample:
    """rgb (H, W, 3), depth (H, W) in metres with 0 in holes, intrinsics [fx, fy, cx, cy]."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    intrinsics: NDArray[np.float64]


@dataclass
class SensorDepth(MetricDepth[Sample]):
    """A folder of .npy or .png, one a frame; ``value · scale`` is metres; holes are filled."""

    path: str | None
    scale: float | None
    farthest: float
    fill: Literal["guided", "nearest"]
    strength: float
    sigma: float

    def __post_init__(self) -> None:
        if (self.scale is not None and self.scale <= 0) or self.farthest <= 0:
            raise ValueError("scale (metres a value) and farthest (metres) must be above 0")

    def needs(self) -> tuple[str, ...]:
        return ("images", "intrinsics")

    def options(self) -> dict[str, Any]:
        return {k: v for k, v in super().options().items() if k != "path"}

    def folder(self, source: Source) -> Path:
        """``path`` (or the folder in it called like the scene), else what came with the data."""
        if self.path is None:
            if source.sensor is None:
                raise UserError(
                    f"{source.describe()}: came without depth; give its folder as metric_depth.path,"
                    " or choose metric_depth=parallax"
                )
            return source.sensor
        path = Path(self.path).expanduser()
        inner = path / source.name
        return inner if inner.is_dir() else path

    def outside(self, source: Source) -> dict[str, str]:
        return {"depth": sha256_of_all(listing(self.folder(source), _SUFFIXES))}

    def check(self, source: Source) -> None:
        folder = self.folder(source)
        if not listing(folder, _SUFFIXES):
            raise UserError(f"{folder}: holds no .npy or .png; check metric_depth.path")

    def load(self, inputs: Inputs, item: str) -> Sample:
        folder = self.folder(inputs.source)
        files = listing(folder, _SUFFIXES)
        option = f"metric_depth.path={folder}"
        path = match_files(inputs.frames, files, "depth maps", option)[item]
        if path is None:
            raise UserError(f"{folder}: no depth for frame {item}; every frame needs one")
        frames = inputs.frames
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
        return Sample(inputs.rgb(item), depth, inputs.intrinsics(item))

    def compute(self, samples: Sequence[Sample]) -> list[MetricMap]:
        return each(self._map, samples)

    def _map(self, s: Sample) -> MetricMap:
        return MetricMap(self._filled(s), s.intrinsics, s.depth > 0)

    def _filled(self, s: Sample) -> NDArray[np.float32]:
        valid = s.depth > 0
        if valid.all():
            return s.depth
        if self.fill == "nearest":
            rows, columns = distance_transform_edt(
                ~valid, return_distances=False, return_indices=True
            )
            return s.depth[rows, columns]
        # disparity is what varies linearly over planes in the image
        disparity = np.divide(1, s.depth, out=np.zeros_like(s.depth), where=valid)
        reach = (self.strength * max(s.depth.shape)) ** 2
        spread_out = spread(disparity, valid.astype(np.float32), s.rgb, reach, self.sigma)
        return np.where(valid, s.depth, 1 / np.maximum(spread_out, 1 / self.farthest)).astype(
            np.float32
        )


def _read(path: Path) -> NDArray[Any]:
    """A depth map (H, W) as it is in the file."""
    try:
        if path.suffix.lower() == ".npy":
            values = read_array(path)
        else:
            with Image.open(path) as image:
                values = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise unreadable(path, error) from None
    values = values.squeeze()
    if values.ndim != 2:
        raise UserError(f"{path}: shape {values.shape}; a depth map has one value a pixel")
    return values
