"""Marigold (Ke et al. 2024): affine-invariant depth by diffusion, from ``diffusers``."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynprep.backends.network import Network
from dynprep.errors import UserError
from dynprep.models.running import to_host
from dynprep.stages.images import Resolution
from dynprep.stages.inputs import Inputs
from dynprep.weights.tensors import damaged

Array = NDArray[np.float32]

_SEEDS = 2**63  # numbers that a generator takes


@dataclass(frozen=True)
class Sample:
    """rgb (H, W, 3) and the seed of its noise."""

    rgb: NDArray[np.uint8]
    seed: int


@dataclass
class Marigold(Network):
    """Frames are computed one at a time, so that the bytes of one never depend on which others
    shared its device; the ensemble is the batch."""

    steps: int
    ensemble: int
    at_once: int
    resolution: Resolution
    seed: int

    def __post_init__(self) -> None:
        for name in ("steps", "ensemble", "at_once"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = super().options()  # type: ignore[misc]
        found.pop("resolution")
        return {**found, "input": self.resolution.prior_input}

    def needs(self) -> tuple[str, ...]:
        return ("images",)

    def load(self, inputs: Inputs, item: str) -> Sample:
        return Sample(inputs.rgb(item), frame_seed(self.seed, inputs.number(item)))

    def open_network(self) -> Any:
        from diffusers import MarigoldDepthPipeline
        from diffusers.utils import logging
        from safetensors import SafetensorError

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        folder = self.published().folder()
        try:
            pipe = MarigoldDepthPipeline.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except (SafetensorError, OSError, ValueError, RuntimeError, json.JSONDecodeError) as error:
            text = str(error)
            if "size mismatch" in text or "shape" in text.lower():
                line = next(part for part in text.splitlines() if "shape" in part.lower())
                raise UserError(
                    f"{self.node}.checkpoint={folder}: weights of another size ({line.strip()[:120]})"
                ) from None
            raise damaged(folder, error) from None
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def parts(self, network: Any) -> Sequence[Any]:
        return (network.unet, network.vae, network.text_encoder)

    def setup(self, device: Any) -> None:
        import torch

        self.device = torch.device(device)
        self.network = self.open_network()
        for part in self.parts(self.network):
            self.running.prepare(part, self.device)
        self.running.compiled(self.network.unet)

    def depths(self, samples: Sequence[Sample]) -> list[Callable[[], Array]]:
        """Depth (H, W) in [0, 1] of every sample, 0 = near."""
        return [self._depth(sample) for sample in samples]

    def _depth(self, sample: Sample) -> Callable[[], Array]:
        import torch

        image = self.tensor([sample.rgb.transpose(2, 0, 1)]).float() / 255
        with self.running.inference(self.device):
            found = self.network(
                image.to(self.running.dtype()),
                num_inference_steps=self.steps,
                ensemble_size=self.ensemble,
                batch_size=min(self.at_once, self.ensemble),
                processing_resolution=self.resolution.prior_input,
                # on the CPU, so that every device starts from the same noise
                generator=torch.Generator("cpu").manual_seed(sample.seed),
                output_type="pt",
            ).prediction
        return to_host(found[0, 0].float())


def frame_seed(seed: int, frame: int) -> int:
    """A frame's own seed, whatever device it is computed on and whatever came before."""
    digest = hashlib.sha256(f"{seed} {frame}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _SEEDS
