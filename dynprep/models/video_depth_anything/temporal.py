"""Attention over time at every place of a feature map, keys as published.

Shapes: T frames, C channels, (h, w) places, N = h w.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.models.attention import attend

LENGTH = 32  # frames that attend to each other
_HEADS = 8
_GROUPS = 32  # of the norm before a module
_BLOCKS = 2  # of attention in a module


class _Place(nn.Module):
    """Where a frame stands in its window (Vaswani et al. 2017)."""

    pe: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        waves = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
        angles = torch.arange(LENGTH)[:, None] * waves
        places = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
        self.register_buffer("pe", places[None])


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])
        self.pos_encoder = _Place(channels)

    def forward(self, x: Tensor, past: Tensor | None) -> Tensor:
        """x (N, T, C) -> the same. past (N, P, C): frames before it, which are looked at too."""
        seen = x if past is None else torch.cat([past, x], 1)
        seen = seen + self.pos_encoder.pe[:, : seen.shape[1]].to(seen)
        q = self.to_q(seen[:, -x.shape[1] :])
        heads = (
            part.unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for part in (q, self.to_k(seen), self.to_v(seen))
        )
        return self.to_out[0](attend(*heads).transpose(1, 2).flatten(2))


class _Gated(nn.Module):
    """A linear layer whose output one half gates (Shazeer 2020)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        values, gate = self.proj(x).chunk(2, -1)
        return values * F.gelu(gate)


class _FeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        # the middle one is where training drops values out: keys count it
        layers = [_Gated(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)]
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(_Attention(channels) for _ in range(_BLOCKS))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(_BLOCKS))
        self.ff = _FeedForward(channels)
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, past: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        states = []
        for number, (attention, norm) in enumerate(
            zip(self.attention_blocks, self.norms, strict=True)
        ):
            state = norm(x)
            states.append(state)
            x = x + attention(state, None if past is None else past[number])
        return x + self.ff(self.ff_norm(x)), states


class _Transformer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([_Block(channels)])
        self.proj_out = nn.Linear(channels, channels)


class TemporalModule(nn.Module):
    """What a place's features learn from the same place in the other frames."""

    states = _BLOCKS  # that a module leaves for later frames

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.temporal_transformer = _Transformer(channels)

    def forward(
        self, x: Tensor, past: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """x (T, C, h, w) -> the same, and the states (N, T, C) by which later frames know these.

        past: states (N, P, C) of frames before, as many as a module leaves; None for a window that is complete.
        """
        inner = self.temporal_transformer
        tokens = inner.proj_in(inner.norm(x).flatten(2).permute(2, 0, 1))  # (N, T, C)
        tokens, states = inner.transformer_blocks[0](tokens, past)
        moved = inner.proj_out(tokens).permute(1, 2, 0).unflatten(2, x.shape[-2:])
        return x + moved, states
