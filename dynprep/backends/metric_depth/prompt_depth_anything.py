"""Metric depth from Prompt Depth Anything (Lin et al. 2025): sensor depth made as sharp as the image.

Shapes: (H, W) pixels of ``images/``, (h, w) of the network's output, B frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from dynprep.arrays import Float32Array, Float64Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.maps import NEAREST, MetricMap
from dynprep.backends.hugging_face import DptStyle, NetworkSample, bicubic
from dynprep.backends.metric_depth.sensor import SensorDepth
from dynprep.backends.network import group_by_shape
from dynprep.models.inference import to_host
from dynprep.options import AtLeastOne
from dynprep.scene.frames import Frames
from dynprep.scene.truth import Truth
from dynprep.stages.base import Deferred

_LEAST_RANGE = (
    1e-6  # metres between nearest and farthest of a prompt, so that a flat wall has a range too
)


@dataclass(frozen=True, kw_only=True)
class PromptedSample(NetworkSample):
    """As ``NetworkSample``, with the prompt (1, p, q): sensor depth in [0, 1] between ``nearest`` and ``farthest`` in
    metres."""

    prompt: Float32Array
    nearest: float
    farthest: float


@dataclass
class PromptDepthAnything(DptStyle, SensorDepth):
    """The sensor's depth, holes filled and brought to ``prompt_side``, is what the network is asked about.

    The network sees it in [0, 1] and gives depth in the same range, which is turned to metres in float32: so metres
    have full precision whatever the network's number format.
    """

    prompt_side: AtLeastOne

    backend_id = "prompt_depth_anything"
    group = "metric_depth"
    architectures = ("metric prompt_depth_anything", "relative prompt_depth_anything")
    keep_float32 = ("head",)

    def load(self, scene: Scene, item: str) -> PromptedSample:  # type: ignore[override]
        sensor = SensorDepth.load(self, scene, item)
        filled = self._filled(sensor)
        prompt = _at_side(filled, self.prompt_side)
        nearest = float(prompt.min())
        farthest = max(float(prompt.max()), nearest + _LEAST_RANGE)
        unit = (prompt - nearest) / (farthest - nearest)
        return PromptedSample(
            self.pixels(scene, item),
            scene.frames.size,
            sensor.intrinsics,
            prompt=unit[None].astype(np.float32),
            nearest=nearest,
            farthest=farthest,
        )

    def compute(self, samples: Sequence[PromptedSample]) -> list[Deferred[MetricMap]]:  # type: ignore[override]
        maps: dict[int, Deferred[MetricMap]] = {}
        for places in group_by_shape(samples, lambda s: (s.pixels.shape, s.size, s.prompt.shape)):
            dtype = self.inference.weights_dtype()
            pixels = self.tensor([samples[k].pixels for k in places]).to(dtype)
            prompts = self.tensor([samples[k].prompt for k in places]).to(dtype)
            with self.inference.inference(self.device):
                low = self.network(pixel_values=pixels, prompt_depth=prompts).predicted_depth
            low = low.float()
            full = bicubic(low[:, None], samples[places[0]].size)
            # no overshoot beside edges
            ends = low.amin((1, 2))[:, None, None], low.amax((1, 2))[:, None, None]
            for k, image in zip(places, full.clamp(*ends), strict=True):
                maps[k] = Deferred(partial(_in_metres, to_host(image), samples[k]))
        return [maps[k] for k in range(len(samples))]

    def for_known_clip(self, truth: Truth, frames: Frames) -> "PromptDepthAnything":
        return replace(self, path=None, scale=None)  # what came with the clip


def _at_side(depth_m: Float32Array, side: int) -> Float32Array:
    """Depth (H, W) with ``side`` pixels on the short side, as sensors for phones have them; never enlarged."""
    scale = side / min(depth_m.shape)
    if scale >= 1:
        return depth_m
    size = tuple(max(1, round(s * scale)) for s in depth_m.shape[::-1])
    return np.asarray(cv2.resize(depth_m, size, interpolation=cv2.INTER_AREA), np.float32)


def _in_metres(get: Callable[[], Float32Array], sample: PromptedSample) -> MetricMap:
    assert sample.intrinsics is not None
    depth = sample.nearest + get() * np.float32(sample.farthest - sample.nearest)
    intrinsics: Float64Array = sample.intrinsics
    return MetricMap(np.maximum(depth, NEAREST).astype(np.float32), intrinsics)
