"""Surface normals from the slopes of the aligned disparity; no network is needed.

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import Float32Array, Float64Array
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.options import NotNegativeFloat
from dynprep.stages.base import parallel
from dynprep.stages.normals import SurfaceNormals


@dataclass(frozen=True)
class DisparitySample:
    """disparity (H, W) in 1/m, 0 where invalid; intrinsics [fx, fy, cx, cy] in pixels."""

    disparity: Float32Array
    intrinsics: Float64Array


@dataclass
class NormalsFromDepth(SurfaceNormals[DisparitySample]):
    """Normals of the surface that the aligned disparity describes, smoothed over ``smoothing``."""

    smoothing: NotNegativeFloat

    backend_id = "from_depth"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, MetricDisparity, AlignedDisparity)

    def load(self, scene: Scene, item: str) -> DisparitySample:
        intrinsics = scene[MetricDisparity].intrinsics(item)
        return DisparitySample(scene[AlignedDisparity].of(item), intrinsics)

    def compute(self, samples: Sequence[DisparitySample]) -> list[Float32Array]:
        return parallel(self._normals, samples)

    def _normals(self, s: DisparitySample) -> Float32Array:
        sigma = self.smoothing * max(s.disparity.shape)
        return normals_of(s.disparity, s.intrinsics, sigma)


def normals_of(
    disparity: Float32Array, intrinsics: Float64Array, sigma: float = 0.0
) -> Float32Array:
    """Unit normals (H, W, 3) of disparity (H, W) in 1/m; 0, 0, 0 where a pixel or a neighbour is invalid.

    A plane n·X = h seen at x = (u - cx) / fx, y = (v - cy) / fy has the disparity q = n·(x, y, 1) / h, which is
    linear in the image. So n is along (∂q/∂x, ∂q/∂y, q - x ∂q/∂x - y ∂q/∂y), exact for planes at any slant, which
    slopes of depth are not. It is turned towards the camera. sigma: of the Gaussian that slopes and disparity are
    smoothed with, in pixels.
    """
    height, width = disparity.shape
    fx, fy, cx, cy = intrinsics
    q = disparity.astype(np.float64)
    valid = q > 0
    if sigma > 0:  # of valid pixels alone
        weight = cv2.GaussianBlur(valid.astype(np.float64), (0, 0), sigma)
        blurred = cv2.GaussianBlur(np.where(valid, q, 0), (0, 0), sigma)
        q = np.where(valid, blurred / np.maximum(weight, 1e-12), 0)
    slope_y, slope_x = np.gradient(q) if min(height, width) > 1 else (np.zeros_like(q),) * 2
    slope_x, slope_y = slope_x * fx, slope_y * fy  # by normalised coordinates
    x = (np.arange(width) - cx) / fx
    y = ((np.arange(height) - cy) / fy)[:, None]
    normals = np.stack([slope_x, slope_y, q - x * slope_x - y * slope_y], -1)
    # n·X = h with h above 0 leads away from the camera: turned round
    normals *= -1 / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-300)
    surrounded = cv2.erode(valid.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.where(surrounded[..., None], normals, 0).astype(np.float32)
