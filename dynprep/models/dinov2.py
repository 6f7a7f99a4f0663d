"""DINOv2's vision transformer (Oquab et al. 2023), patch 14, without registers, keys as published.

Shapes: B images, N tokens, C channels, (H, W) pixels of the network's input.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 14
_GRID = 37  # patches a side of the grid that positions were learned on: 518 / 14
_HEAD = 64  # channels of an attention head
Turn = Callable[[Tensor], Tensor]  # of queries and keys
# what DINOv2's authors add to the number of patches before they scale the grid of positions
POSITION_OFFSET = 0.1


class LayerScale(nn.Module):
    """A learned gain for each channel (Touvron et al. 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., C) -> the same."""
        return x * self.gamma


class _Attention(nn.Module):
    def __init__(self, channels: int, normed: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels)
        self.q_norm = nn.LayerNorm(_HEAD) if normed else nn.Identity()
        self.k_norm = nn.LayerNorm(_HEAD) if normed else nn.Identity()
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, turn: Turn | None) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, c // _HEAD, _HEAD).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if turn is not None:
            q, k = turn(q), turn(k)
        mixed = F.scaled_dot_product_attention(q, k, v)  # (B, heads, N, 64)
        return self.proj(mixed.transpose(1, 2).reshape(b, n, c))


class _Mlp(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _GatedMlp(nn.Module):
    """SwiGLU (Shazeer 2020), of the giant encoder."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = -(-(4 * channels * 2 // 3) // 8) * 8
        self.w12 = nn.Linear(channels, 2 * inner)
        self.w3 = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate, values = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(gate) * values)


class Block(nn.Module):
    """Attention and a perceptron, each added to what enters.

    normed: whether queries and keys are normed; gated: whether the perceptron is a gated one.
    """

    def __init__(self, channels: int, normed: bool = False, gated: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = _Attention(channels, normed)
        self.ls1 = LayerScale(channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = _GatedMlp(channels) if gated else _Mlp(channels)
        self.ls2 = LayerScale(channels)

    def forward(self, x: Tensor, turn: Turn | None = None) -> Tensor:
        """x (B, N, C) -> the same. turn: what is done to queries and keys (B, heads, N, 64), such as RoPE."""
        x = x + self.ls1(self.attn(self.norm1(x), turn))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _Patches(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).flatten(2).transpose(1, 2)


class DinoV2(nn.Module):
    """The encoder, which gives normed tokens after some of its blocks.

    channels, blocks: width and depth; taps: numbers of the blocks after which tokens are taken, from 1;
    final_eps: of the last norm, which is applied to every tap: 1e-5 in UniDepth, unlike the 1e-6 of the
    blocks; offset: see ``POSITION_OFFSET``, 0 in UniDepth.
    """

    def __init__(
        self,
        channels: int,
        blocks: int,
        taps: tuple[int, ...],
        final_eps: float = 1e-5,
        offset: float = 0.0,
    ) -> None:
        super().__init__()
        self.taps = taps
        self.offset = offset
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _GRID * _GRID, channels))
        self.patch_embed = _Patches(channels)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(blocks))
        self.norm = nn.LayerNorm(channels, eps=final_eps)

    def forward(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return for each tap the patch tokens (B, H/14 * W/14, C) and the class token (B, C).

        image (B, 3, H, W): normalised, sides multiples of 14.
        """
        x = self.tokens(image)
        taps = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in self.taps:
                normed = self.norm(x)
                taps.append((normed[:, 1:], normed[:, 0]))
        return taps

    def tokens(self, image: Tensor) -> Tensor:
        """The class token and the patches with their positions (B, 1 + H/14 * W/14, C)."""
        x = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        return x + self._positions(image.shape[-2] // PATCH, image.shape[-1] // PATCH)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Learned positions (1, 1 + rows * columns, C), brought to a grid by bicubic interpolation.

        Half precision would shift them, so they are interpolated in float32 or float64.
        """
        if rows == columns == _GRID:
            return self.pos_embed
        cls, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        at_least_float32 = torch.promote_types(grid.dtype, torch.float32)
        square = grid.to(at_least_float32).reshape(1, _GRID, _GRID, -1).permute(0, 3, 1, 2)
        if self.offset:
            scale = (rows + self.offset) / _GRID, (columns + self.offset) / _GRID
            fitted = F.interpolate(square, scale_factor=scale, mode="bicubic", align_corners=False)
        else:
            fitted = F.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([cls, fitted.to(cls.dtype).flatten(2).transpose(1, 2)], 1)
