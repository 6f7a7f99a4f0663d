"""Metric depth and focal length from MoGe-2 (Wang et al. 2025).

Shapes: B frames of one size, (H, W) pixels of ``images/``, N points from which the focal length is found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, Float64Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import FARTHEST, MetricMap
from dynprep.backends.camera import CameraAware, known_camera
from dynprep.backends.moge import LIKELY, MoGeNetwork, MoGeSample, frame
from dynprep.backends.network import group_by_shape
from dynprep.models.inference import to_host
from dynprep.models.moge.focal import focal_and_shift
from dynprep.stages.base import Deferred, Stage
from dynprep.stages.camera_estimate import CameraEstimate
from dynprep.stages.metric_depth import MetricDepth

if TYPE_CHECKING:
    from torch import Tensor

_FOUND_ON = (64, 64)  # pixels of the grid on which focal length and shift are found, as published
_NO_CAMERA = (
    "metric_depth: on some frames MoGe-2's points fit no camera; 90° across the diagonal is assumed"
)
_NO_FOCAL = 1.0  # focal length, in units of half the diagonal, where none is found, as published


@dataclass(frozen=True)
class _Sparse:
    """The points of a frame from which its focal length is found, on their way to the host.

    points, places, finite: of the 64 x 64 pixels: x, y, z; where they lie in the image, in units of half its diagonal;
    and whether their depth is finite.
    """

    points: Callable[[], Float32Array]
    places: Float32Array
    finite: Callable[[], BoolArray]

    def solve(self, focal: float | None) -> tuple[float | None, float]:
        """Focal length in units of half the image's diagonal, None where no camera fits, and the shift along z."""
        finite = self.finite()
        return focal_and_shift(self.places[finite], self.points()[finite], focal)


@dataclass
class _MoGeMetric(MoGeNetwork):
    group = "metric_depth"
    heads = ("points_head", "scale_head")


@dataclass
class MoGe(_MoGeMetric, CameraAware, MetricDepth[MoGeSample]):
    """Depth in metres under the camera that is known, the clip's, or the one that is seen; and where there is sky."""

    tells_sky = True

    def helpers(self) -> list[Stage]:
        return [self.derive(MoGeCamera)]

    def load(self, scene: Scene, item: str) -> MoGeSample:
        return MoGeSample(frame(scene, item), self.camera_for(scene, item))

    def compute(self, samples: Sequence[MoGeSample]) -> list[Deferred[MetricMap]]:
        maps: list[Deferred[MetricMap] | None] = [None] * len(samples)
        for places in group_by_shape(samples, lambda s: s.size):
            raw = self.infer([samples[k] for k in places], with_normals=False)
            assert raw.metres is not None
            finite = _is_finite(raw.points, raw.finite)
            sparse = _sparse(raw.points, finite)
            for j, k in enumerate(places):
                ready = to_host(raw.points[j, ..., 2]), to_host(finite[j]), to_host(raw.metres[j])
                maps[k] = Deferred(partial(_as_map, *ready, sparse[j], samples[k]))
        return [one for one in maps if one is not None]


@dataclass
class MoGeCamera(_MoGeMetric, CameraEstimate[MoGeSample]):
    """The focal length that is seen in every frame, for ``camera.shared``."""

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def load(self, scene: Scene, item: str) -> MoGeSample:
        return MoGeSample(frame(scene, item), known_camera(scene, item))

    def compute(self, samples: Sequence[MoGeSample]) -> list[Float64Array]:
        cameras = [s.camera for s in samples]  # what is known need not be seen
        for places in group_by_shape(samples, lambda s: (s.size, s.camera is None)):
            if samples[places[0]].camera is not None:
                continue
            raw = self.infer([samples[k] for k in places], with_normals=False)
            sparse = _sparse(raw.points, _is_finite(raw.points, raw.finite))
            for j, k in enumerate(places):
                cameras[k] = _centred(sparse[j].solve(None)[0] or _NO_FOCAL, samples[k].size)
        return [one for one in cameras if one is not None]


def _is_finite(points: "Tensor", probability: "Tensor | None") -> "Tensor":
    """Where depth is finite (B, H, W); everywhere where the network does not say."""
    import torch

    if probability is None:
        return torch.ones_like(points[..., 0], dtype=torch.bool)
    return probability > LIKELY


def _sparse(points: "Tensor", finite: "Tensor") -> list[_Sparse]:
    """Every k-th point of points (B, H, W, 3), by the nearest pixel."""
    import torch
    from torch.nn import functional as F

    from dynprep.models.view_plane import view_plane

    maps = torch.cat([points, finite[..., None]], -1).permute(0, 3, 1, 2)
    fewer = F.interpolate(maps, _FOUND_ON, mode="nearest").permute(0, 2, 3, 1).flatten(1, 2)
    plane = view_plane(*points.shape[1:3]).permute(2, 0, 1)[None]
    places = F.interpolate(plane, _FOUND_ON, mode="nearest")[0].flatten(1).T.numpy()
    return [_Sparse(to_host(one[:, :3]), places, to_host(one[:, 3] > 0)) for one in fewer]


def _as_map(
    z: Callable[[], Float32Array],
    finite: Callable[[], BoolArray],
    metres: Callable[[], Float32Array],
    sparse: _Sparse,
    sample: MoGeSample,
) -> MetricMap:
    camera, half = sample.camera, _half_diagonal(sample.size)
    focal, shift = sparse.solve(None if camera is None else float(camera[0]) / half)
    remark = ""
    if focal is None:
        focal, shift = _NO_FOCAL, sparse.solve(_NO_FOCAL)[1]
        remark = _NO_CAMERA
    if camera is None:
        camera = _centred(focal, sample.size)
    depth = (z() + np.float32(shift)) * metres()
    sky = ~(finite() & (depth > 0))
    depth = np.where(sky, np.float32(FARTHEST), depth)
    return MetricMap(depth, camera, sky=sky, remark=remark)


def _centred(focal: float, size: tuple[int, int]) -> Float64Array:
    """[fx, fy, cx, cy] of a focal length in units of half the diagonal."""
    pixels = focal * _half_diagonal(size)
    return np.array([pixels, pixels, (size[1] - 1) / 2, (size[0] - 1) / 2])


def _half_diagonal(size: tuple[int, int]) -> float:
    return float(np.hypot(*size)) / 2
