"""What the backends with Depth Anything 3's networks share (Lin et al. 2025).

Shapes: (H, W) pixels of ``images/``, (h, w) of the network's input.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dynprep.arrays import Float32Array, Float64Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.images import Images
from dynprep.backends.network import Network, group_by_shape
from dynprep.options import Range
from dynprep.weights.tensors import fit, read_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

_PREFIX = "model."  # of all names in published files


@dataclass(frozen=True)
class ViewSample:
    """pixels (3, h, w) as the network takes them, size (H, W) of ``images/``, intrinsics [fx, fy, cx, cy] in its
    pixels where the backend needs them."""

    pixels: Float32Array
    size: tuple[int, int]
    intrinsics: Float64Array | None = None


@dataclass
class DepthAnything3Network(Network):
    """A network whose input has a long side of ``side`` pixels."""

    side: Annotated[int, Range(14, 4096)]

    backend_id = "depth_anything_3"

    @abstractmethod
    def new_network(self) -> "nn.Module":
        """The network without its weights."""

    def unused(self) -> tuple[str, ...]:
        """How names of tensors begin that the network has no use for."""
        from dynprep.models.depth_anything_3.network import UNUSED

        return UNUSED

    def open_network(self) -> Any:
        file = self.location().file()
        tensors = {
            name.removeprefix(_PREFIX): values for name, values in read_tensors(file).items()
        }
        network = self.new_network()
        self.unknown = fit(network, tensors, self.unused(), f"{self.group}.checkpoint={file}")
        return network

    def pixels(self, scene: Scene, item: str) -> Float32Array:
        """A frame (3, h, w) as the network takes it."""
        from dynprep.models.depth_anything_3.framing import network_input

        return network_input(scene[Images].rgb(item), self.side)


@dataclass
class OneViewNetwork(DepthAnything3Network):
    """The networks that look at single images, and know where there is sky."""

    variant: Literal["small", "large"]

    keep_float32 = ("head.scratch.output_conv2", "head.scratch.sky_output_conv2")
    tells_sky = True

    def new_network(self) -> "nn.Module":
        from dynprep.models.depth_anything_3.network import OneView

        return OneView(self.variant)

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.backbone.pretrained, self.network.head]

    def predicted(self, samples: Sequence[ViewSample]) -> "list[tuple[Tensor, Tensor]]":
        """The network's depth (H, W), float32, and where there is sky (H, W), of every sample."""
        by_sample: list[tuple[Tensor, Tensor] | None] = [None] * len(samples)
        for places in group_by_shape(samples, lambda s: (s.pixels.shape, s.size)):
            images = self.tensor([samples[k].pixels for k in places])
            with self.inference.inference(self.device):
                depth, sky = self.network(images.to(self.inference.weights_dtype()))
            size = samples[places[0]].size
            full = resized(depth, size), resized(sky.float(), size, "nearest-exact") > 0
            for k, one, other in zip(places, *full, strict=True):
                by_sample[k] = one, other
        return [one for one in by_sample if one is not None]


def resized(maps: "Tensor", size: tuple[int, int], how: str = "bilinear") -> "Tensor":
    """maps (B, h, w) -> (B, H, W)."""
    from torch.nn import functional as F

    corners = False if how == "bilinear" else None
    return F.interpolate(maps[:, None], size, mode=how, align_corners=corners)[:, 0]
