"""The update block: what a window's tracks learn from one lookup, across space and time.

Shapes: B passes, S slots of a window, C channels, (h, w) cells of 8 x 8 pixels, N cells.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.models.alltracker.correlation import CHANNELS
from dynprep.models.alltracker.encoder import ConvNextBlock
from dynprep.models.attention import attend

WIDTH = 128  # channels of everything in the block
_HEADS = 8


class _Motion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(CHANNELS, 512, 1)
        self.convc2 = nn.Conv2d(512, 192, 3, padding=1)
        self.convf1 = nn.Conv2d(2, 256, 5, padding=2)
        self.convf2 = nn.Conv2d(256, 64, 3, padding=1)
        self.conv = nn.Conv2d(256, WIDTH - 2, 3, padding=1)

    def forward(self, lookup: Tensor, flows: Tensor) -> Tensor:
        """Features of the motion (B * S, 126, h, w) from correlations (405) and flows in cells (2).

        With the two channels of the flows, which the caller adds, they make 128.
        """
        similar = F.relu_(self.convc2(F.relu_(self.convc1(lookup))))
        moved = F.relu_(self.convf2(F.relu_(self.convf1(flows))))
        return F.relu_(self.conv(torch.cat([similar, moved], 1)))


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(WIDTH, WIDTH)
        self.to_kv = nn.Linear(WIDTH, 2 * WIDTH)
        self.to_out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, S, N, C) -> the same: every cell of every pass is a sequence over the slots."""
        q, k, v = (self._split(part) for part in (self.to_q(x), *self.to_kv(x).chunk(2, -1)))
        mixed = attend(q, k, v)  # (B * N, heads, S, C / heads)
        mixed = mixed.unflatten(0, (len(x), -1)).permute(0, 3, 1, 2, 4)
        return self.to_out(mixed.flatten(3))

    @staticmethod
    def _split(x: Tensor) -> Tensor:
        """(B, S, N, C) -> (B * N, heads, S, C / heads), a view where B is 1."""
        return x.unflatten(-1, (_HEADS, -1)).permute(0, 2, 3, 1, 4).flatten(0, 1)


class _Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(_gelu_tanh(self.fc1(x)))


class _TimeBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.ones(WIDTH, 1))
        self.block = nn.ModuleDict({"attn": _Attention(), "mlp": _Mlp()})

    def forward(self, x: Tensor, slots: int) -> Tensor:
        """x (B * S, C, h, w) -> the same; the slots of a cell attend to each other."""
        size = x.shape[-2:]
        # a view where a cell's channels lie side by side
        tokens = x.permute(0, 2, 3, 1).unflatten(0, (-1, slots)).flatten(2, 3)  # (B, S, h w, C)
        inner = tokens + self.block["attn"](_norm(tokens))
        inner = inner + self.block["mlp"](_norm(inner))
        out = torch.addcmul(tokens, inner, self.layer_scale[:, 0])
        return out.unflatten(2, size).flatten(0, 1).permute(0, 3, 1, 2)


def _gelu_tanh(x: Tensor) -> Tensor:
    """GELU in its approximation by tanh (Hendrycks and Gimpel 2016), of any shape.

    Since (1 + tanh(a)) / 2 = σ(2a) it is x · σ(2 √(2/π) (x + 0.044715 x³)), which is faster on CPUs.
    """
    if x.device.type != "cpu":
        return F.gelu(x, approximate="tanh")
    factor = 2 * math.sqrt(2 / math.pi)
    inner = x * x
    return inner.mul_(factor * 0.044715).add_(factor).mul_(x).sigmoid_().mul_(x)


def _norm(x: Tensor) -> Tensor:
    """Layer norm over the last axis, without learned parameters."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


class UpdateBlock(nn.Module):
    """New features of every slot from its old ones and what is seen where its tracks are.

    Three pairs of blocks: attention over the slots of a cell, then convolution over the cells of a slot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.motion_encoder = _Motion()
        self.compressor = nn.Conv2d(3 * WIDTH + 2, WIDTH, 1)
        self.refine = nn.ModuleList()
        for _ in range(3):
            self.refine.extend([_TimeBlock(), ConvNextBlock(WIDTH)])
        self.final_conv = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(
        self,
        feat: Tensor,
        context: Tensor,
        visconfs: Tensor,
        lookup: Tensor,
        flows: Tensor,
        slots: int,
    ) -> Tensor:
        """Return new features (B * S, 128, h, w).

        feat: features (128); context: of the anchor, with the slot's time (128); visconfs: raw visibility
        and confidence (2); lookup: correlations (405); flows: in cells (2); all (B * S, channels, h, w).
        slots: S.
        """
        motion = self.motion_encoder(lookup, flows)
        x = self.compressor(torch.cat([feat, context, motion, flows, visconfs], 1))
        for number, block in enumerate(self.refine):
            x = block(x) if number % 2 else block(x, slots)
        return self.final_conv(x)
