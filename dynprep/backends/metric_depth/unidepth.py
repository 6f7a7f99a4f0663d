"""Metric depth and intrinsics from UniDepth V2 (Piccinelli et al. 2025)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np

from dynprep.arrays import Float32Array, Float64Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import MetricMap
from dynprep.backends.camera import CENTRE, CameraAware, known_camera
from dynprep.backends.network import Network, group_by_shape
from dynprep.foreign import read_json
from dynprep.models.inference import InferenceOptions, Precision, to_host
from dynprep.options import Range
from dynprep.stages.base import Deferred, Stage
from dynprep.stages.camera_estimate import CameraEstimate
from dynprep.stages.metric_depth import MetricDepth
from dynprep.weights import read_tensors
from dynprep.weights.tensors import fit

if TYPE_CHECKING:
    from torch import Tensor

_CONFIG = "config.json"


@dataclass(frozen=True)
class UniDepthSample:
    """image (3, H, W) uint8; camera [fx, fy, cx, cy] in pixels of ``images/``, None: to be seen."""

    image: UInt8Array
    camera: Float64Array | None


@dataclass
class _UniDepthNetwork(Network):
    variant: Literal["vits14", "vitb14", "vitl14"]
    resolution_level: Annotated[float, Range(least=0, below=10)] | None
    correct_intrinsics: bool
    published: bool

    backend_id = "unidepth_v2"
    group = "metric_depth"
    keep_float32 = (
        "pixel_decoder.camera_layer",
        "pixel_decoder.depth_layer.to_depth_hr",
        "pixel_decoder.depth_layer.to_confidence_hr",
    )

    @property
    def inference(self) -> InferenceOptions:
        """As the trainer says; the published code runs under autocast to float16, which on CPUs changes nothing."""
        usual = self.context.inference
        device = getattr(self, "device", None)
        if self.published and device is not None and device.type == "cuda":
            return replace(usual, precision="16-mixed")
        return usual

    def in_precision(self, precision: Precision) -> Self:
        """The same network in another number format, which ``published`` would decide."""
        return replace(super().in_precision(precision), published=False)

    def key_options(self) -> dict[str, Any]:
        options = super().key_options()
        if not self.published:  # results from before there was this option keep their keys
            del options["published"]
        return options

    def rows(self, k: "Tensor") -> "Tensor":
        """K (B, 3, 3) as the network sees it -> (B, 4) fx, fy, cx, cy with pixel centres at whole numbers, or with
        ``published`` as the scripts write it: with centres at + 0.5."""
        import torch

        shift = 0.0 if self.published else CENTRE
        return torch.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2] - shift, k[:, 1, 2] - shift], 1)

    def open_network(self) -> Any:
        from dynprep.models.unidepth.config import configured
        from dynprep.models.unidepth.network import UNUSED, UniDepthV2

        file = self.location().file()
        beside = file.with_name(_CONFIG)
        raw = None
        if beside.is_file():
            raw = read_json(beside, dict[str, Any])
        network = UniDepthV2(configured(self.variant, raw, str(beside)))
        where = f"{self.group}.checkpoint={file}"
        self.unknown = fit(network, read_tensors(file), UNUSED, where)
        return network

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.pixel_encoder, self.network.pixel_decoder.depth_layer]


@dataclass
class UniDepth(_UniDepthNetwork, CameraAware, MetricDepth[UniDepthSample]):
    """Depth in metres under the camera that is known, the clip's, or the one that is seen."""

    def helpers(self) -> list[Stage]:
        return [self.derive(UniDepthCamera)]

    def load(self, scene: Scene, item: str) -> UniDepthSample:
        return UniDepthSample(_channels_first(scene, item), self.camera_for(scene, item))

    def compute(self, samples: Sequence[UniDepthSample]) -> list[Deferred[MetricMap]]:
        maps: list[Deferred[MetricMap] | None] = [None] * len(samples)
        for places in group_by_shape(samples, lambda s: (s.image.shape, s.camera is None)):
            images = self.tensor([samples[k].image for k in places])
            cameras = [samples[k].camera for k in places]
            with self.inference.inference(self.device):
                known = None if cameras[0] is None else self.tensor([_matrix(c) for c in cameras])
                output = self.network.infer(
                    images, known, self.resolution_level, self.correct_intrinsics
                )
            rows = self.rows(output["intrinsics"])
            for k, depth, row in zip(places, output["depth"][:, 0], rows, strict=True):
                camera = samples[k].camera
                maps[k] = Deferred(partial(_as_map, to_host(depth), to_host(row), camera))
        return [one for one in maps if one is not None]


@dataclass
class UniDepthCamera(_UniDepthNetwork, CameraEstimate[UniDepthSample]):
    """The camera that is seen in every frame, for ``camera.shared``; depth is not computed."""

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def load(self, scene: Scene, item: str) -> UniDepthSample:
        return UniDepthSample(_channels_first(scene, item), known_camera(scene, item))

    def compute(self, samples: Sequence[UniDepthSample]) -> list[Float64Array]:
        cameras = [s.camera for s in samples]  # what is known need not be seen
        for places in group_by_shape(samples, lambda s: (s.image.shape, s.camera is None)):
            if samples[places[0]].camera is not None:
                continue
            images = self.tensor([samples[k].image for k in places])
            with self.inference.inference(self.device):
                seen = self.network.camera(images, self.resolution_level, self.correct_intrinsics)
            for k, row in zip(places, self.rows(seen).cpu().double().numpy(), strict=True):
                cameras[k] = row
        return [one for one in cameras if one is not None]


def _channels_first(scene: Scene, item: str) -> UInt8Array:
    """The frame (3, H, W)."""
    return np.ascontiguousarray(scene[Images].rgb(item).transpose(2, 0, 1))


def _matrix(camera: Float64Array | None) -> Float32Array:
    """[fx, fy, cx, cy] with pixel centres at whole numbers -> K (3, 3) with centres at + 0.5."""
    assert camera is not None
    fx, fy, cx, cy = camera
    return np.array([[fx, 0, cx + CENTRE], [0, fy, cy + CENTRE], [0, 0, 1]], np.float32)


def _as_map(
    depth: Callable[[], Float32Array],
    seen: Callable[[], Float32Array],
    camera: Float64Array | None,
) -> MetricMap:
    return MetricMap(depth(), seen().astype(np.float64) if camera is None else camera)
