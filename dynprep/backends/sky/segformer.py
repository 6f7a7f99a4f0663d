"""The sky by a network that names what it sees: SegFormer (Xie et al. 2021), from ``transformers``.

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from torch import Tensor


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
        masks: list[Callable[[], BoolArray] | None] = [None] * len(samples)
        sky = next(k for k, name in self.network.config.id2label.items() if name == self.label)
        for places in group_by_shape(samples, lambda s: (s.pixels.shape, s.size)):
            pixels = self.tensor([samples[k].pixels for k in places])
            with self.inference.inference(self.device):
                logits = self.network(pixel_values=pixels.to(self.inference.weights_dtype())).logits
            for k, scores in zip(places, logits.float(), strict=True):
                masks[k] = to_host(is_likeliest(scores, int(sky), samples[k].size))
        return [Deferred(one) for one in masks if one is not None]


def is_likeliest(scores: "Tensor", name: int, size: tuple[int, int]) -> "Tensor":
    """Where a name has the highest score (H, W), the scores (names, h, w) brought to ``size``.

    Of several that are equal the first counts. Name by name, since all of them at the full size would fill a GPU.
    """
    import torch
    from torch.nn import functional as F

    def full(number: int) -> "Tensor":
        part = scores[number][None, None]
        return F.interpolate(part, size, mode="bilinear", align_corners=False)[0, 0]

    own = full(name)
    is_highest = torch.ones_like(own, dtype=torch.bool)
    for number in range(len(scores)):
        if number < name:
            is_highest &= own > full(number)
        elif number > name:
            is_highest &= own >= full(number)
    return is_highest
