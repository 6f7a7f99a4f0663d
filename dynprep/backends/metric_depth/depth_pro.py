"""Metric depth and focal length from Depth Pro (Bochkovskii et al. 2024)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprep.arrays import Float32Array, Float64Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import MetricMap
from dynprep.backends.camera import CameraAware, known_camera
from dynprep.backends.hugging_face import HuggingFaceNetwork, NetworkSample
from dynprep.backends.network import group_by_shape
from dynprep.errors import UserError
from dynprep.models.inference import to_host
from dynprep.stages.base import Deferred, Stage
from dynprep.stages.camera_estimate import CameraEstimate
from dynprep.stages.metric_depth import MetricDepth

if TYPE_CHECKING:
    from torch import Tensor

_NEAREST, _FARTHEST = 1e-4, 1e4  # metres, as published


@dataclass
class _DepthProNetwork(HuggingFaceNetwork):
    backend_id = "depth_pro"
    group = "metric_depth"
    architectures = ("depth_pro",)
    keep_float32 = ("head", "fov_model.head")

    def open_network(self) -> Any:
        network = super().open_network()
        if not getattr(network, "use_fov_model", False):
            raise UserError(
                f"{self.group}.checkpoint={self.location().folder()}: has no field-of-view network; "
                f"use the files of the hub's {self.hub}"
            )
        return network

    def infer(self, samples: Sequence[NetworkSample]) -> tuple["Tensor", "Tensor"]:
        """Canonical inverse depth (B, h, w), and field of view (B,) across the image in degrees,
        of frames of one size."""
        pixels = network_input(self.tensor([s.pixels for s in samples]), self._side())
        with self.inference.inference(self.device):
            output = self.network(pixel_values=pixels.to(self.inference.weights_dtype()))
        return output.predicted_depth.float(), output.field_of_view.float()

    def _side(self) -> int:
        """The square that the network sees: its patches at the coarsest of its scales."""
        config = self.network.config
        return round(config.patch_size / min(config.scaled_images_ratios))


@dataclass
class DepthPro(_DepthProNetwork, CameraAware, MetricDepth[NetworkSample]):
    """Depth in metres, scaled by the camera that is known, the clip's, or the one that is seen."""

    def helpers(self) -> list[Stage]:
        return [self.derive(DepthProCamera)]

    def load(self, scene: Scene, item: str) -> NetworkSample:
        return NetworkSample(
            _channels_first(scene, item), scene.frames.size, self.camera_for(scene, item)
        )

    def compute(self, samples: Sequence[NetworkSample]) -> list[Deferred[MetricMap]]:
        maps: list[Deferred[MetricMap] | None] = [None] * len(samples)
        for places in group_by_shape(samples, lambda s: s.size):
            canonical, fov = self.infer([samples[k] for k in places])
            for k, inverse, degrees in zip(places, canonical, fov, strict=True):
                camera = samples[k].intrinsics
                focal = seen_focal(degrees, samples[k].size[1])
                if camera is not None:
                    focal = focal.new_tensor(camera[0])
                depth = metric(inverse, focal, samples[k].size)
                maps[k] = Deferred(partial(_as_map, to_host(depth), to_host(focal), samples[k]))
        return [one for one in maps if one is not None]


@dataclass
class DepthProCamera(_DepthProNetwork, CameraEstimate[NetworkSample]):
    """The focal length that is seen in every frame, for ``camera.shared``."""

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def load(self, scene: Scene, item: str) -> NetworkSample:
        return NetworkSample(
            _channels_first(scene, item), scene.frames.size, known_camera(scene, item)
        )

    def compute(self, samples: Sequence[NetworkSample]) -> list[Float64Array]:
        rows = [s.intrinsics for s in samples]  # what is known need not be seen
        for places in group_by_shape(samples, lambda s: (s.size, s.intrinsics is None)):
            if samples[places[0]].intrinsics is not None:
                continue
            _, fov = self.infer([samples[k] for k in places])
            for k, degrees in zip(places, fov, strict=True):
                focal = float(seen_focal(degrees, samples[k].size[1]))
                rows[k] = _centred(focal, samples[k].size)
        return [one for one in rows if one is not None]


def network_input(images: "Tensor", side: int) -> "Tensor":
    """images (B, 3, H, W) uint8 -> (B, 3, side, side) in -1..1, bilinear, no antialiasing."""
    from torch.nn import functional as F

    scaled = images.float() / 127.5 - 1
    return F.interpolate(scaled, (side, side), mode="bilinear", align_corners=False)


def seen_focal(degrees: "Tensor", width: int) -> "Tensor":
    """Focal length in pixels, of degrees' shape, of an image ``width`` pixels wide, from its field of view."""
    return 0.5 * width / (0.5 * degrees.deg2rad()).tan()


def metric(canonical: "Tensor", focal: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Depth (H, W) in metres of canonical inverse depth (h, w): 1 / (canonical · W / focal), focal in pixels."""
    from torch.nn import functional as F

    scaled = (canonical * (size[1] / focal))[None, None]
    full = F.interpolate(scaled, size, mode="bilinear", align_corners=False)[0, 0]
    return 1 / full.clamp(1 / _FARTHEST, 1 / _NEAREST)


def _channels_first(scene: Scene, item: str) -> UInt8Array:
    """The frame (3, H, W)."""
    return np.ascontiguousarray(scene[Images].rgb(item).transpose(2, 0, 1))


def _centred(focal: float, size: tuple[int, int]) -> Float64Array:
    return np.array([focal, focal, (size[1] - 1) / 2, (size[0] - 1) / 2])


def _as_map(
    depth: Callable[[], Float32Array], focal: Callable[[], Float32Array], sample: NetworkSample
) -> MetricMap:
    intrinsics = sample.intrinsics
    if intrinsics is None:
        intrinsics = _centred(float(focal()), sample.size)
    return MetricMap(depth(), intrinsics)
