"""The depth head: features conditioned on rays, merged from shallow to deep, enlarged.

Shapes: B images, C channels, (H, W) pixels of the network's input, (h, w) patches of 14 x 14 pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.models.unidepth.blocks import AttentionBlock

_SLOPE = 0.01  # of the leaky rectifiers
_LAST = 32  # channels before the output


class _ResidualConv(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(F.leaky_relu(x, _SLOPE))
        return x + self.gamma * self.conv2(F.leaky_relu(inner, _SLOPE))


class _Stage(nn.Module):
    """Two residual convolutions, fewer channels, twice the size."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_ResidualConv(channels) for _ in range(2))
        self.up = nn.ModuleList([nn.Conv2d(channels, out, 1)])

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x)
        return F.interpolate(self.up[0](x), scale_factor=2, mode="bilinear", align_corners=False)


class _Prompt(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([AttentionBlock(channels, heads, scaled=False)])

    def forward(self, x: Tensor, rays: Tensor) -> Tensor:
        return self.layers[0](x, rays)


def _norm_linear(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels))


def _reflecting(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1, padding_mode="reflect")


def _final(channels: int) -> nn.Sequential:
    return nn.Sequential(_reflecting(channels, _LAST), nn.LeakyReLU(_SLOPE), nn.Conv2d(_LAST, 1, 1))


class DepthHead(nn.Module):
    """Raw logarithm of the distance from the camera, and of the confidence, at the network's resolution."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        halves = (channels, channels // 2, channels // 4)
        self.prompt_camera = nn.ModuleList(_Prompt(channels, heads) for _ in range(4))
        self.to_latents = nn.Linear(channels, channels)
        self.process_features = nn.ModuleList(
            nn.ConvTranspose2d(channels, out, stride, stride)
            for out, stride in zip((channels, *halves[:2]), (1, 2, 4), strict=True)
        )
        self.ups = nn.ModuleList(
            _Stage(i, o) for i, o in zip((channels, *halves[:2]), halves, strict=True)
        )
        last = halves[-1]
        # the two before it would serve outputs of stages that inference does not use
        self.depth_mlp = nn.ModuleList([nn.Identity(), nn.Identity(), _norm_linear(last)])
        self.confidence_mlp = _norm_linear(last)
        self.to_depth_lr = _reflecting(last, last // 2)
        self.to_confidence_lr = _reflecting(last, last // 2)
        self.to_depth_hr = _final(last // 2)
        self.to_confidence_hr = _final(last // 2)

    def forward(
        self, levels: list[Tensor], rays: Tensor, grid: tuple[int, int], size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return raw log-distance and log-confidence (B, 1, H, W).

        levels: features (B, h * w, C) of four layers, from shallow to deep; rays: features (B, h * w, C) of
        the rays; grid: (h, w); size: (H, W).
        """
        prompted = [prompt(x, rays) for prompt, x in zip(self.prompt_camera, levels, strict=True)]
        x = self._image(self.to_latents(prompted[0]), grid)
        for add, up, level in zip(self.process_features, self.ups, prompted[1:], strict=True):
            x = up(x + add(self._image(level, grid)))
        log_radius = self._enlarged(self.depth_mlp[-1], self.to_depth_lr, self.to_depth_hr, x, size)
        return log_radius, self._enlarged(
            self.confidence_mlp, self.to_confidence_lr, self.to_confidence_hr, x, size
        )

    @staticmethod
    def _image(x: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, h * w, C) -> (B, C, h, w)."""
        return x.transpose(1, 2).reshape(len(x), -1, *grid)

    @staticmethod
    def _enlarged(
        mix: nn.Module, low: nn.Module, high: nn.Module, x: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """(B, C, h', w') -> (B, 1, H, W): channels mixed, smoothed, enlarged, then made one channel."""
        small = low(mix(x.movedim(1, -1)).movedim(-1, 1))
        last = next(high.parameters()).dtype  # may be finer than the rest
        return high(F.interpolate(small.to(last), size, mode="bilinear", align_corners=True))
