"""Depth Anything 3's head: a DPT whose maps know where they are in the image, keys as published.

Shapes: B images, C channels, (h, w) patches of 14 x 14 pixels, (H, W) pixels of the network's input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dynprep.models.depth_anything_3.config import Size
from dynprep.models.dinov2 import PATCH
from dynprep.models.dpt import Reassembly, Scratch, in_parts, last_layers, maps_of, resized, size_of
from dynprep.models.view_plane import view_plane

_TOGETHER = 8  # images that the head takes at once
_BASE = 100.0  # of the frequencies of the position's waves
_SHARE = 0.1  # of the waves that is added to features


class _Scratch(Scratch):
    def __init__(self, size: Size, outputs: int, sky: bool) -> None:
        super().__init__(size.widths, size.features, coarsest_adds=False, outputs=outputs)
        self.sky_output_conv2 = last_layers(size.features // 2, 1) if sky else None


class Head(nn.Module):
    """Depth, and either how certain it is or where there is sky.

    inputs: channels of the encoder's features; placed: whether features are normed and told where they are, as those of
    several views are; outputs: channels of the last layer; sky: whether it tells where there is sky.
    """

    def __init__(self, size: Size, inputs: int, placed: bool, outputs: int, sky: bool) -> None:
        super().__init__()
        self.placed = placed
        self._waves: dict[tuple[tuple[int, int], int, float, torch.device], Tensor] = {}
        self.norm = nn.LayerNorm(inputs) if placed else nn.Identity()
        self.projects = nn.ModuleList(nn.Conv2d(inputs, width, 1) for width in size.widths)
        self.resize_layers = Reassembly(size.widths)
        self.scratch = _Scratch(size, outputs, sky)

    def forward(
        self, features: Sequence[Tensor], grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        """Raw maps (B, outputs, H, W) and the raw map of the sky (B, 1, H, W), None where the head has none.

        features: four of (B, h w, C); grid: (h, w).
        """
        maps = [self._part(part, grid) for part in in_parts(features, _TOGETHER)]
        skies = [sky for _, sky in maps if sky is not None]
        return torch.cat([raw for raw, _ in maps]), torch.cat(skies) if skies else None

    def _part(
        self, features: Sequence[Tensor], grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        aspect, scratch = grid[1] / grid[0], self.scratch
        levels = [
            resize(self._place(project(maps_of(self.norm(tokens), grid)), aspect))
            for tokens, project, resize in zip(
                features, self.projects, self.resize_layers, strict=True
            )
        ]
        one, two, three, four = scratch.narrowed(levels)
        path = scratch.refinenet4(four, size_of(three))
        path = scratch.refinenet3(path, size_of(two), three)
        finest = scratch.finest(path, one, two)
        full = resized(scratch.output_conv1(finest), (grid[0] * PATCH, grid[1] * PATCH))
        full = self._place(full, aspect)
        sky = None if scratch.sky_output_conv2 is None else scratch.sky_output_conv2(full)
        return scratch.output_conv2(full), sky

    def _place(self, x: Tensor, aspect: float) -> Tensor:
        """x (B, C, h, w) with what tells where each of its places is."""
        if not self.placed:
            return x
        what = (size_of(x), x.shape[1], aspect, x.device)
        if what not in self._waves:  # as long as the network is there, and for one size of image
            self._waves = {k: v for k, v in self._waves.items() if k[2] == aspect}
            self._waves[what] = waves(*what)
        return x + _SHARE * self._waves[what].to(x.dtype)


def waves(size: tuple[int, int], channels: int, aspect: float, device: torch.device) -> Tensor:
    """Sines and cosines (C, h, w) of where a place is in the image, half the channels for each axis.

    aspect: width / height of the image.
    """
    quarter = channels // 4
    steps = torch.arange(quarter, dtype=torch.float32, device=device)
    frequencies = 1 / _BASE ** (steps / quarter)
    angles = view_plane(*size, aspect, device)[..., None] * frequencies  # (h, w, 2, C / 4)
    both = torch.cat([angles.sin(), angles.cos()], -1)
    return both.flatten(2).permute(2, 0, 1)
