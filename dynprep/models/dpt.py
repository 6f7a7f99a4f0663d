"""DPT's decoder (Ranftl et al. 2021) as Depth Anything and what follows from it have it, keys as published.

Shapes: B images, C channels, (h, w) patches.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_INNER = 32  # channels before the last layer


class Reassembly(nn.ModuleList):
    """From tokens of four depths of the encoder to maps of four resolutions: 4, 2, 1 and 1/2 times the patches'."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(
            [
                nn.ConvTranspose2d(widths[0], widths[0], 4, stride=4),
                nn.ConvTranspose2d(widths[1], widths[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(widths[3], widths[3], 3, stride=2, padding=1),
            ]
        )


class _Refinement(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    """Adds a map to what comes from the coarser one, refines it and brings it to the next size.

    adds: whether there is a map to add, which the coarsest one lacks; published files may hold its weights even so.
    """

    def __init__(self, channels: int, adds: bool = True) -> None:
        super().__init__()
        if adds:
            self.resConfUnit1 = _Refinement(channels)
        self.resConfUnit2 = _Refinement(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, size: tuple[int, int], finer: Tensor | None = None) -> Tensor:
        """x, finer (B, C, h, w) -> (B, C, *size)."""
        if finer is not None:
            x = x + self.resConfUnit1(finer)
        return self.out_conv(resized(self.resConfUnit2(x), size))


class Scratch(nn.Module):
    """The layers that bring the four maps to one width and fuse them, under the name that published files have.

    outputs: channels that the last layer gives.
    """

    def __init__(
        self, widths: Sequence[int], channels: int, coarsest_adds: bool, outputs: int
    ) -> None:
        super().__init__()
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = (
            nn.Conv2d(width, channels, 3, padding=1, bias=False) for width in widths
        )
        self.refinenet1 = Fusion(channels)
        self.refinenet2 = Fusion(channels)
        self.refinenet3 = Fusion(channels)
        self.refinenet4 = Fusion(channels, coarsest_adds)
        self.output_conv1 = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.output_conv2 = last_layers(channels // 2, outputs)

    def narrowed(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The four maps (B, widths, h, w) with as many channels each."""
        layers = (self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn)
        return [layer(level) for layer, level in zip(layers, levels, strict=True)]

    def finest(self, path: Tensor, one: Tensor, two: Tensor) -> Tensor:
        """What the two coarser levels became, fused with the two finer ones, at twice the finest one's size."""
        path = self.refinenet2(path, size_of(one), two)
        fused: Tensor = self.refinenet1(path, (2 * one.shape[-2], 2 * one.shape[-1]), one)
        return fused


def last_layers(channels: int, outputs: int) -> nn.Sequential:
    """From features to values (B, outputs, h, w)."""
    return nn.Sequential(
        nn.Conv2d(channels, _INNER, 3, padding=1), nn.ReLU(), nn.Conv2d(_INNER, outputs, 1)
    )


def maps_of(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens (B, h w, C) as maps (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    """values (B, C, h, w) -> (B, C, *size), bilinear, corners on corners."""
    return F.interpolate(values, size, mode="bilinear", align_corners=True)


def size_of(values: Tensor) -> tuple[int, int]:
    """(h, w) of maps (B, C, h, w)."""
    return values.shape[-2], values.shape[-1]


def in_parts(tensors: Sequence[Tensor], most: int) -> list[tuple[Tensor, ...]]:
    """Tensors of one length, cut along their first axis into parts of at most ``most``."""
    return list(zip(*(torch.split(values, most) for values in tensors), strict=True))
