"""DINOv2's vision transformer (Oquab et al. 2023), patch 14, without registers, keys as published."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 14
_GRID = 37  # patches a side of the grid that positions were learned on: 518 / 14
_HEAD = 64  # channels of an attention head


class LayerScale(nn.Module):
    """A learned gain a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, c // _HEAD, _HEAD).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)  # (B, heads, N, 64)
        return self.proj(mixed.transpose(1, 2).reshape(b, n, c))


class _Mlp(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = _Attention(channels)
        self.ls1 = LayerScale(channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = _Mlp(channels)
        self.ls2 = LayerScale(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _Patches(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).flatten(2).transpose(1, 2)


class DinoV2(nn.Module):
    """Normed tokens after some of the blocks.

    final_eps: of the last norm, which is applied to every tap; UniDepth's is 1e-5, not DINOv2's
    1e-6 of the blocks.
    """

    def __init__(
        self, channels: int, blocks: int, taps: tuple[int, ...], final_eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.taps = taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _GRID * _GRID, channels))
        self.patch_embed = _Patches(channels)
        self.blocks = nn.ModuleList(_Block(channels) for _ in range(blocks))
        self.norm = nn.LayerNorm(channels, eps=final_eps)

    def forward(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """image (B, 3, H, W), normalised, sides multiples of 14 -> for each tap the patch tokens
        (B, H/14 * W/14, C) and the class token (B, C)."""
        x = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x = x + self._positions(image.shape[-2] // PATCH, image.shape[-1] // PATCH)
        found = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in self.taps:
                normed = self.norm(x)
                found.append((normed[:, 1:], normed[:, 0]))
        return found

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Learned positions brought to a grid, bicubic, at least in float32:
        (1, 1 + rows * columns, C)."""
        if rows == columns == _GRID:
            return self.pos_embed
        cls, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        exact = torch.promote_types(grid.dtype, torch.float32)
        square = grid.to(exact).reshape(1, _GRID, _GRID, -1).permute(0, 3, 1, 2)
        fitted = F.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([cls, fitted.to(cls.dtype).flatten(2).transpose(1, 2)], 1)
