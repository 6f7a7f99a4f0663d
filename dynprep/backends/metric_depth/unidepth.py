"""Metric depth and intrinsics from UniDepth V2 (Piccinelli et al. 2025)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from dynprep.backends.camera import CENTRE, SeesCamera, known_camera
from dynprep.backends.network import Network, alike
from dynprep.models.inference import to_host
from dynprep.stages.base import Later
from dynprep.stages.camera_estimate import CameraEstimate
from dynprep.stages.inputs import Inputs
from dynprep.stages.maps import MetricMap
from dynprep.stages.metric_depth import MetricDepth
from dynprep.weights import read_tensors
from dynprep.weights.tensors import damaged, fit

if TYPE_CHECKING:
    from torch import Tensor

_CONFIG = "config.json"


@dataclass(frozen=True)
class Sample:
    """image (3, H, W) uint8; camera [fx, fy, cx, cy] in pixels of ``images/``, None: to be seen."""

    image: NDArray[np.uint8]
    camera: NDArray[np.float64] | None


@dataclass
class _UniDepthNetwork(Network):
    variant: Literal["vits14", "vitb14", "vitl14"]
    resolution_level: float | None
    correct_intrinsics: bool

    node = "metric_depth"
    keep_float32 = (
        "pixel_decoder.camera_layer",
        "pixel_decoder.depth_layer.to_depth_hr",
        "pixel_decoder.depth_layer.to_confidence_hr",
    )

    def __post_init__(self) -> None:
        level = self.resolution_level
        if level is not None and not 0 <= level < 10:
            raise ValueError(f"resolution_level is {level}; it must be at least 0 and below 10")

    def open_network(self) -> Any:
        from dynprep.models.unidepth.config import configured
        from dynprep.models.unidepth.network import UNUSED, UniDepthV2

        file = self.published().file()
        beside = file.with_name(_CONFIG)
        raw = None
        if beside.is_file():
            try:
                raw = json.loads(beside.read_text())
            except ValueError as error:
                raise damaged(beside, error) from None
        network = UniDepthV2(configured(self.variant, raw, str(beside)))
        fit(network, read_tensors(file), UNUSED, f"{self.node}.checkpoint={file}")
        return network

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.pixel_encoder, self.network.pixel_decoder.depth_layer]


@dataclass
class UniDepth(_UniDepthNetwork, SeesCamera, MetricDepth[Sample]):
    """Depth in metres under the camera that is known, the clip's, or the one that is seen."""

    def load(self, inputs: Inputs, item: str) -> Sample:
        return Sample(_channels_first(inputs.rgb(item)), self.told(inputs, item))

    def compute(self, samples: Sequence[Sample]) -> list[Later[MetricMap]]:
        found: list[Later[MetricMap] | None] = [None] * len(samples)
        for places in alike(samples, lambda s: (s.image.shape, s.camera is None)):
            images = self.tensor([samples[k].image for k in places])
            cameras = [samples[k].camera for k in places]
            with self.running.inference(self.device):
                given = None if cameras[0] is None else self.tensor([_matrix(c) for c in cameras])
                told = self.network.infer(
                    images, given, self.resolution_level, self.correct_intrinsics
                )
            values = _values(told["intrinsics"])
            for k, depth, row in zip(places, told["depth"][:, 0], values, strict=True):
                found[k] = Later(partial(_map, to_host(depth), to_host(row), samples[k].camera))
        return [one for one in found if one is not None]


@dataclass
class UniDepthCamera(_UniDepthNetwork, CameraEstimate[Sample]):
    """The camera that is seen in every frame, for ``camera.shared``; depth is not computed."""

    def needs(self) -> tuple[str, ...]:
        return ("images", "intrinsics")

    def load(self, inputs: Inputs, item: str) -> Sample:
        return Sample(_channels_first(inputs.rgb(item)), known_camera(inputs, item))

    def compute(self, samples: Sequence[Sample]) -> list[NDArray[np.float64]]:
        found = [s.camera for s in samples]  # what is known need not be seen
        for places in alike(samples, lambda s: (s.image.shape, s.camera is None)):
            if samples[places[0]].camera is not None:
                continue
            images = self.tensor([samples[k].image for k in places])
            with self.running.inference(self.device):
                seen = self.network.camera(images, self.resolution_level, self.correct_intrinsics)
            for k, row in zip(places, _values(seen).double().cpu().numpy(), strict=True):
                found[k] = row
        return [one for one in found if one is not None]


def _channels_first(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rgb.transpose(2, 0, 1))


def _matrix(camera: NDArray[np.float64] | None) -> NDArray[np.float32]:
    """[fx, fy, cx, cy] with pixel centres at whole numbers -> K with centres at + 0.5."""
    assert camera is not None
    fx, fy, cx, cy = camera
    return np.array([[fx, 0, cx + CENTRE], [0, fy, cy + CENTRE], [0, 0, 1]], np.float32)


def _values(k: "Tensor") -> "Tensor":
    """K (B, 3, 3) -> (B, 4) fx, fy, cx, cy with pixel centres at whole numbers."""
    import torch

    return torch.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2] - CENTRE, k[:, 1, 2] - CENTRE], 1)


def _map(
    depth: Callable[[], NDArray[np.float32]],
    seen: Callable[[], NDArray[np.float32]],
    told: NDArray[np.float64] | None,
) -> MetricMap:
    return MetricMap(depth(), seen().astype(np.float64) if told is None else told)
