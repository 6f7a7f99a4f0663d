"""Metric depth and focal length from Depth Pro (Bochkovskii et al. 2024)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynprep.backends.camera import SeesCamera, known_camera
from dynprep.backends.hugging_face import Array, HuggingFaceNetwork, Sample
from dynprep.backends.network import alike
from dynprep.errors import UserError
from dynprep.models.inference import to_host
from dynprep.stages.base import Later
from dynprep.stages.camera_estimate import CameraEstimate
from dynprep.stages.inputs import Inputs
from dynprep.stages.maps import MetricMap
from dynprep.stages.metric_depth import MetricDepth

if TYPE_CHECKING:
    from torch import Tensor

_NEAREST, _FARTHEST = 1e-4, 1e4  # metres, as published


@dataclass
class _DepthProNetwork(HuggingFaceNetwork):
    node = "metric_depth"
    architectures = ("depth_pro",)
    keep_float32 = ("head", "fov_model.head")

    def open_network(self) -> Any:
        network = super().open_network()
        if not getattr(network, "use_fov_model", False):
            raise UserError(
                f"{self.node}.checkpoint={self.published().folder()}: has no field-of-view network; "
                f"use the files of the hub's {self.hub}"
            )
        return network

    def run(self, samples: Sequence[Sample]) -> tuple["Tensor", "Tensor"]:
        """Canonical inverse depth (B, h, w), and field of view (B,) across the image in degrees,
        of frames of one size."""
        pixels = network_input(self.tensor([s.pixels for s in samples]), self._side())
        with self.running.inference(self.device):
            found = self.network(pixel_values=pixels.to(self.running.weights_dtype()))
        return found.predicted_depth.float(), found.field_of_view.float()

    def _side(self) -> int:
        """The square that the network sees: its patches at the coarsest of its scales."""
        config = self.network.config
        return round(config.patch_size / min(config.scaled_images_ratios))


@dataclass
class DepthPro(_DepthProNetwork, SeesCamera, MetricDepth[Sample]):
    """Depth in metres, scaled by the camera that is known, the clip's, or the one that is seen."""

    def load(self, inputs: Inputs, item: str) -> Sample:
        size = (inputs.frames.height, inputs.frames.width)
        return Sample(_channels_first(inputs.rgb(item)), size, self.told(inputs, item))

    def compute(self, samples: Sequence[Sample]) -> list[Later[MetricMap]]:
        found: list[Later[MetricMap] | None] = [None] * len(samples)
        for places in alike(samples, lambda s: s.size):
            canonical, fov = self.run([samples[k] for k in places])
            for k, inverse, degrees in zip(places, canonical, fov, strict=True):
                told = samples[k].intrinsics
                focal = seen_focal(degrees, samples[k].size[1])
                if told is not None:
                    focal = focal.new_tensor(told[0])
                depth = metric(inverse, focal, samples[k].size)
                found[k] = Later(partial(_map, to_host(depth), to_host(focal), samples[k]))
        return [one for one in found if one is not None]


@dataclass
class DepthProCamera(_DepthProNetwork, CameraEstimate[Sample]):
    """The focal length that is seen in every frame, for ``camera.shared``."""

    def needs(self) -> tuple[str, ...]:
        return ("images", "intrinsics")

    def load(self, inputs: Inputs, item: str) -> Sample:
        size = (inputs.frames.height, inputs.frames.width)
        return Sample(_channels_first(inputs.rgb(item)), size, known_camera(inputs, item))

    def compute(self, samples: Sequence[Sample]) -> list[NDArray[np.float64]]:
        found = [s.intrinsics for s in samples]  # what is known need not be seen
        for places in alike(samples, lambda s: (s.size, s.intrinsics is None)):
            if samples[places[0]].intrinsics is not None:
                continue
            _, fov = self.run([samples[k] for k in places])
            for k, degrees in zip(places, fov, strict=True):
                focal = float(seen_focal(degrees, samples[k].size[1]))
                found[k] = _centred(focal, samples[k].size)
        return [one for one in found if one is not None]


def network_input(images: "Tensor", side: int) -> "Tensor":
    """images (B, 3, H, W) uint8 -> (B, 3, side, side) in -1..1, bilinear, no antialiasing."""
    from torch.nn import functional as F

    scaled = images.float() / 127.5 - 1
    return F.interpolate(scaled, (side, side), mode="bilinear", align_corners=False)


def seen_focal(degrees: "Tensor", width: int) -> "Tensor":
    """Focal length in pixels of an image that wide, from its field of view."""
    return 0.5 * width / (0.5 * degrees.deg2rad()).tan()


def metric(canonical: "Tensor", focal: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Depth (H, W) in metres of canonical inverse depth (h, w): 1 / (canonical · W / focal)."""
    from torch.nn import functional as F

    scaled = (canonical * (size[1] / focal))[None, None]
    full = F.interpolate(scaled, size, mode="bilinear", align_corners=False)[0, 0]
    return 1 / full.clamp(1 / _FARTHEST, 1 / _NEAREST)


def _channels_first(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rgb.transpose(2, 0, 1))


def _centred(focal: float, size: tuple[int, int]) -> NDArray[np.float64]:
    return np.array([focal, focal, (size[1] - 1) / 2, (size[0] - 1) / 2])


def _map(depth: Callable[[], Array], focal: Callable[[], Array], sample: Sample) -> MetricMap:
    seen = sample.intrinsics
    if seen is None:
        seen = _centred(float(focal()), sample.size)
    return MetricMap(depth(), seen)
