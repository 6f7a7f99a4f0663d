"""The sky by a network that names what it sees: SegFormer (Xie et al. 2021), from ``transformers``.

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.backends.hugging_face import NetworkSample, load_network, processor
from dynprep.backends.network import Network, group_by_shape
from dynprep.errors import UserError
from dynprep.models.inference import to_host
from dynprep.stages.base import Deferred
from dynprep.stages.sky import SkyStage


@dataclass
class SegformerSky(Network, SkyStage[NetworkSample]):
    """Pixels whose likeliest name is ``label``."""

    label: str

    backend_id = "segformer"
    group = "sky"
    keep_float32 = ("decode_head.classifier",)

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def open_network(self) -> Any:
        from transformers import SegformerForSemanticSegmentation

        folder = self.location().folder()
        network = load_network(SegformerForSemanticSegmentation, folder, self.group)
        names = set(network.config.id2label.values())
        if self.label not in names:
            raise UserError(
                f"sky.label={self.label}: {folder} knows {len(names)} names, and not this one; see id2label in its "
                "config.json"
            )
        return network

    def inspect(self) -> list[str]:
        remarks = super().inspect()
        processor(self.location().folder())
        return remarks

    def load(self, scene: Scene, item: str) -> NetworkSample:
        prepare = processor(self.location().folder())
        pixels = prepare(scene[Images].rgb(item), return_tensors="np")["pixel_values"][0]
        return NetworkSample(np.asarray(pixels, np.float32), scene.frames.size)

    def compute(self, samples: Sequence[NetworkSample]) -> list[Deferred[BoolArray]]:
        from torch.nn import functional as F

        found: list[Callable[[], BoolArray] | None] = [None] * len(samples)
        sky = next(k for k, name in self.network.config.id2label.items() if name == self.label)
        for places in group_by_shape(samples, lambda s: (s.pixels.shape, s.size)):
            pixels = self.tensor([samples[k].pixels for k in places])
            with self.inference.inference(self.device):
                logits = self.network(pixel_values=pixels.to(self.inference.weights_dtype())).logits
            for k, one in zip(places, logits.float(), strict=True):
                full = F.interpolate(
                    one[None], samples[k].size, mode="bilinear", align_corners=False
                )
                found[k] = to_host(full[0].argmax(0) == int(sky))
        return [Deferred(one) for one in found if one is not None]
