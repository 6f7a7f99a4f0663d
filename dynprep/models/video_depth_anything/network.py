"""Video Depth Anything: depth of the frames of a clip, which see each other (Chen et al. 2025).

Shapes: T frames, C channels, (H, W) pixels of the network's input, (h, w) patches of 14 x 14 pixels, N = h w.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.models.dinov2 import PATCH, POSITION_OFFSET, DinoV2
from dynprep.models.dpt import Reassembly, Scratch, in_parts, maps_of, resized, size_of
from dynprep.models.video_depth_anything.temporal import TemporalModule

UNUSED = ("pretrained.mask_token",)  # of published checkpoints, what reaches no output
_TOGETHER = 4  # frames that the last layers, which look at one frame alone, take at once


@dataclass(frozen=True)
class Size:
    """Sizes of a network. channels, blocks: of the encoder; taps: numbers of the blocks that are looked at, from 1;
    widths: channels of the decoder's four levels; features: channels in which they are fused."""

    channels: int
    blocks: int
    taps: tuple[int, ...]
    widths: tuple[int, int, int, int]
    features: int


SIZES = {
    "vits": Size(384, 12, (3, 6, 9, 12), (48, 96, 192, 384), 64),
    "vitb": Size(768, 12, (3, 6, 9, 12), (96, 192, 384, 768), 128),
    "vitl": Size(1024, 24, (5, 12, 18, 24), (256, 512, 1024, 1024), 256),
}


class _Head(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        w, c = size.widths, size.features
        self.projects = nn.ModuleList(nn.Conv2d(size.channels, width, 1) for width in w)
        self.resize_layers = Reassembly(w)
        self.motion_modules = nn.ModuleList(TemporalModule(v) for v in (w[2], w[3], c, c))
        self.scratch = Scratch(w, c, coarsest_adds=True, outputs=1)


class VideoDepthAnything(nn.Module):
    """The inference network, with the parameter names of the published checkpoints.

    size: ``vits``, ``vitb`` or ``vitl``.
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        s = SIZES[size]
        self.pretrained = DinoV2(s.channels, s.blocks, s.taps, 1e-6, POSITION_OFFSET)
        self.head = _Head(s)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Features (T, N, C) of four depths, of each frame alone. images (T, 3, H, W): normalised."""
        return [patches for patches, _ in self.pretrained(images)]

    def decode(
        self,
        features: Sequence[Tensor],
        grid: tuple[int, int],
        past: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Disparity of any scale and shift, or depth in metres, by the weights: (T, H, W), 0 or above.

        features: what ``encode`` gives for frames that see each other; grid: (h, w). past: what frames before left for
        these, or None. The second value is what these leave.
        """
        head, scratch = self.head, self.head.scratch
        levels = [
            resize(project(maps_of(tokens, grid)))
            for tokens, project, resize in zip(
                features, head.projects, head.resize_layers, strict=True
            )
        ]
        states: list[Tensor] = []
        count = TemporalModule.states

        def over_time(number: int, x: Tensor) -> Tensor:
            before = None if past is None else past[number * count : (number + 1) * count]
            x, left = head.motion_modules[number](x, before)
            states.extend(left)
            return x

        levels[2], levels[3] = over_time(0, levels[2]), over_time(1, levels[3])
        one, two, three, four = scratch.narrowed(levels)
        path = over_time(2, scratch.refinenet4(four, size_of(three)))
        path = over_time(3, scratch.refinenet3(path, size_of(two), three))
        full = grid[0] * PATCH, grid[1] * PATCH
        maps = [
            F.relu(scratch.output_conv2(resized(scratch.output_conv1(finest), full))[:, 0])
            for finest in (scratch.finest(*part) for part in in_parts((path, one, two), _TOGETHER))
        ]
        return torch.cat(maps), states
