"""Depth networks of ``transformers``: loading, and images as they expect them."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dynprep.arrays import AnyArray, Float32Array, Float64Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.images import Images
from dynprep.backends.network import Network, group_by_shape
from dynprep.errors import UserError
from dynprep.foreign import read_json
from dynprep.models.inference import to_host
from dynprep.weights.tensors import damaged, mismatch, refused

if TYPE_CHECKING:
    from torch import Tensor

# the deepest fusion layer has nothing to fuse yet: published DPT files leave these out
_UNUSED = "fusion_stage.layers.0.residual_layer1."


@dataclass(frozen=True)
class NetworkSample:
    """pixels (3, h, w) as the network takes them, size (H, W) of ``images/``, intrinsics [fx, fy, cx, cy] in its
    pixels where the backend needs them."""

    pixels: AnyArray
    size: tuple[int, int]
    intrinsics: Float64Array | None = None


@dataclass
class HuggingFaceNetwork(Network):
    """A network that ``AutoModelForDepthEstimation`` knows.

    architectures: ``model_type`` of the configurations that this class can run, with what
    ``depth_estimation_type`` says where there is one.
    """

    architectures: ClassVar[tuple[str, ...]]

    def open_network(self) -> Any:
        folder = self.location().folder()
        from transformers import AutoModelForDepthEstimation

        network = load_network(AutoModelForDepthEstimation, folder, self.group)
        kind = network.config.model_type
        if estimated := getattr(network.config, "depth_estimation_type", None):
            kind = f"{estimated} {kind}"
        if kind not in self.architectures:
            raise UserError(
                f"{self.group}.checkpoint={folder}: a {kind} network; this backend runs "
                f"{' or '.join(self.architectures)}"
            )
        return network


@dataclass
class DptStyle(HuggingFaceNetwork):
    """Networks with DPT's preprocessing: Depth Anything, DPT, MiDaS."""

    follow_resolution: bool

    keep_float32 = ("head",)

    def inspect(self) -> list[str]:
        remarks = super().inspect()
        processor(self.location().folder())
        return remarks

    def key_options(self) -> dict[str, Any]:
        return {**super().key_options(), "input": self._side()}

    def _side(self) -> int | None:
        return self.context.resolution.depth_input if self.follow_resolution else None

    def pixels(self, scene: Scene, item: str) -> Float32Array:
        """The frame as the network takes it, (3, h, w): the processor that came with the weights,
        its size replaced by ``resolution.depth_input`` where that is followed."""
        prepare = processor(self.location().folder())
        size = {"height": self._side(), "width": self._side()} if self._side() else None
        rgb = scene[Images].rgb(item)
        prepared = prepare(rgb, return_tensors="np", **({"size": size} if size else {}))
        pixels: Float32Array = prepared["pixel_values"][0]
        return pixels

    def maps(
        self, samples: Sequence[NetworkSample], clamp: bool
    ) -> list[Callable[[], Float32Array]]:
        """The network's output of every sample brought to (H, W) bicubically, as
        ``post_process_depth_estimation`` does; clamp: to the range before, against overshoot."""
        maps: list[Callable[[], Float32Array] | None] = [None] * len(samples)
        for places in group_by_shape(samples, lambda s: (s.pixels.shape, s.size)):
            batch = self.tensor([samples[k].pixels for k in places]).to(
                self.inference.weights_dtype()
            )
            with self.inference.inference(self.device):
                output = self.network(pixel_values=batch).predicted_depth.float()
            full = bicubic(output[:, None], samples[places[0]].size)
            if clamp:
                low = output.amin((1, 2))[:, None, None]
                high = output.amax((1, 2))[:, None, None]
                full = full.clamp(low, high)
            for k, image in zip(places, full, strict=True):
                maps[k] = to_host(image)
        return [one for one in maps if one is not None]


def bicubic(values: "Tensor", size: tuple[int, int]) -> "Tensor":
    """values (B, 1, h, w) -> (B, H, W), float32."""
    from torch.nn import functional as F

    return F.interpolate(values.float(), size, mode="bicubic", align_corners=False)[:, 0]


@lru_cache(maxsize=4)
def processor(folder: Path) -> Any:
    """The image processor of a folder; once a reader process."""
    from transformers import AutoImageProcessor

    file = folder / "preprocessor_config.json"
    if not file.is_file():
        raise UserError(f"{file}: missing; the folder must hold it beside the weights")
    read_json(file, dict[str, Any])
    try:
        return AutoImageProcessor.from_pretrained(
            folder, backend="pil", local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever the library finds wrong with the file
        raise damaged(file, error) from None


def load_network(kind: Any, folder: Path, group: str) -> Any:
    """The network of a folder in the format of the hub. kind: the class of transformers that reads it.

    Raises UserError for a checkpoint that is damaged, of another network, of another size, or more than tensors.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        read_json(folder / "config.json", dict[str, Any])  # the library would read any size
        network, report = kind.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported below, all at once
            output_loading_info=True,
        )
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        raise refused(folder, error) from None
    except Exception as error:  # whatever the library finds wrong with the files
        if "weights_only" in str(error) or "Weights only load failed" in str(error):
            raise refused(folder, error) from None
        raise damaged(folder, error) from None
    other = [(k, tuple(a), tuple(b)) for k, a, b in report["mismatched_keys"]]
    missing = [k for k in sorted(report["missing_keys"]) if _UNUSED not in k]
    # tensors that the network does not know change nothing; older files hold some
    wrong = mismatch(missing, other)
    if wrong:
        raise UserError(f"{group}.checkpoint={folder}: {wrong}")
    return network
