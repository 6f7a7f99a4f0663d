"""Marigold (Ke et al. 2024, 2025): depth or surface normals by diffusion, from ``diffusers``."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.backends.network import Network
from dynprep.errors import UserError
from dynprep.models.inference import InferenceOptions, to_host
from dynprep.options import AtLeastOne, Seed
from dynprep.weights.tensors import damaged, mismatch

if TYPE_CHECKING:
    from torch import Tensor

_SEEDS = 2**63  # numbers that a generator takes


@dataclass(frozen=True)
class MarigoldSample:
    """rgb (H, W, 3) and the seed of its noise."""

    rgb: UInt8Array
    seed: int


@dataclass
class Marigold(Network):
    """Frames are computed one at a time, so that the bytes of one never depend on which others
    shared its device; the ensemble is the batch.

    predicts: what the checkpoint must give, as its configuration calls it.
    """

    steps: AtLeastOne
    ensemble: AtLeastOne
    at_once: AtLeastOne
    seed: Seed

    one_by_one = True
    predicts: ClassVar[str] = "depth"

    def key_options(self) -> dict[str, Any]:
        # how many are computed at once decides the order in which noise is drawn
        at_once = min(self.at_once, self.ensemble)
        size = self.context.resolution.prior_input
        return {**super().key_options(), "at_once": at_once, "input": size}

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def load(self, scene: Scene, item: str) -> MarigoldSample:
        return MarigoldSample(scene[Images].rgb(item), frame_seed(self.seed, scene.number(item)))

    def open_network(self) -> Any:
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from diffusers.utils import logging
        from transformers import CLIPTextModel
        from transformers.utils import logging as text_logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        text_logging.set_verbosity_error()
        text_logging.disable_progress_bar()
        folder = self.location().folder()
        parts = {
            "unet": UNet2DConditionModel,
            "vae": AutoencoderKL,
            "text_encoder": CLIPTextModel,
        }
        loaded = {name: self._part(folder, name, kind) for name, kind in parts.items()}
        try:
            pipe = self.pipeline().from_pretrained(folder, local_files_only=True, **loaded)
        except Exception as error:  # whatever the library finds wrong with the files
            raise damaged(folder, error) from None
        if pipe.config.prediction_type != self.predicts:
            raise UserError(
                f"{self.group}.checkpoint={folder}: gives {pipe.config.prediction_type}, not {self.predicts}; use "
                f"{self.hub}"
            )
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def pipeline(self) -> Any:
        """The library's pipeline that the parts are put into."""
        from dynprep.backends.marigold_pipeline import Float32Marigold

        return Float32Marigold

    def _part(self, folder: Path, name: str, kind: Any) -> Any:
        """One of the pipeline's networks; UserError unless its file holds all of it."""
        try:
            part, report = kind.from_pretrained(
                folder,
                subfolder=name,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:  # whatever the library finds wrong with the files
            text = next((line for line in str(error).splitlines() if "shape" in line.lower()), "")
            if text:
                where = f"{self.group}.checkpoint={folder / name}"
                raise UserError(
                    f"{where}: weights of another size ({text.strip()[:120]})"
                ) from None
            raise damaged(folder / name, error) from None
        if wrong := mismatch(sorted(report["missing_keys"]), []):
            raise UserError(f"{self.group}.checkpoint={folder / name}: {wrong}")
        return part

    def parts(self, network: Any) -> Sequence[Any]:
        return (network.unet, network.vae, network.text_encoder)

    def setup(self, device: Any) -> None:
        import torch

        self.device = torch.device(device)
        self.network = pipe = self.open_network()
        float32 = InferenceOptions("32-true", self.inference.channels_last, False)
        # what becomes depth stays in float32: half precision has 256 steps between 0.5 and 1
        for part in (pipe.vae, pipe.text_encoder):
            float32.prepare(part, self.device)
        self.inference.prepare(pipe.unet, self.device)
        self.inference.compile_modules(pipe.unet)
        _take_float32(pipe.unet, self.inference, self.device)

    def depths(self, samples: Sequence[MarigoldSample]) -> list[Callable[[], Float32Array]]:
        """Depth (H, W) in [0, 1] of every sample, 0 = near."""
        return [to_host(self.predicted(sample)[0, 0].float()) for sample in samples]

    def predicted(self, sample: MarigoldSample) -> "Tensor":
        """What the pipeline gives of a sample: (1, C, H, W), C is 1 for depth and 3 for normals."""
        import torch

        image = self.tensor([sample.rgb.transpose(2, 0, 1)]).float() / 255
        with torch.inference_mode():
            output: Tensor = self.network(
                image,
                num_inference_steps=self.steps,
                ensemble_size=self.ensemble,
                batch_size=min(self.at_once, self.ensemble),
                processing_resolution=self.context.resolution.prior_input,
                # on the CPU, so that every device starts from the same noise
                generator=torch.Generator("cpu").manual_seed(sample.seed),
                output_type="pt",
            ).prediction
        return output


def _take_float32(unet: Any, options: InferenceOptions, device: Any) -> None:
    """Make the network take and give float32 tensors, and compute in the number format asked for.

    Its class is exchanged for a subclass: a closure in its place would hold the network, and with it the device's
    memory, until the next garbage collection.
    """
    kind = type(unet)

    def forward(self: Any, sample: Any, step: Any, encoder_hidden_states: Any, **named: Any) -> Any:
        dtype = options.weights_dtype()
        with options.inference(device):
            output = kind.forward(
                self,
                sample.to(dtype),
                step,
                encoder_hidden_states=encoder_hidden_states.to(dtype),
                **named,
            )
        return tuple(part.float() for part in output)

    unet.__class__ = type(kind.__name__, (kind,), {"forward": forward})


def frame_seed(seed: int, frame: int) -> int:
    """A frame's own seed, whatever device it is computed on and whatever came before."""
    digest = hashlib.sha256(f"{seed} {frame}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _SEEDS
