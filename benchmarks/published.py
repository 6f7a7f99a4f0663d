"""One iteration of AllTracker's window as it is published: step after step, nothing shared or saved.

The other side of ``benchmarks.tracks``, and a second formulation that the engine's numbers are held
to: the same parameters, maps as (N, C, h, w), attention written out.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dynprep.models import AllTracker
from dynprep.models.alltracker.correlation import LEVELS, REACH, pyramid
from dynprep.models.alltracker.network import State, own_cells
from dynprep.models.alltracker.update import UpdateBlock

_HEADS, _EPS = 8, 1e-6


def volumes(anchor: Tensor, maps: Tensor) -> list[Tensor]:
    """anchor (C, h, w), maps (S, C, h, w) -> five of (S h w, 1, hi, wi)."""
    channels = anchor.shape[0]
    found = []
    for level in pyramid(maps):
        volume = torch.matmul(anchor.flatten(1).T[None], level.flatten(2)) / channels**0.5
        found.append(volume.reshape(-1, 1, *level.shape[-2:]))
    return found


def lookup(levels: list[Tensor], at: Tensor) -> Tensor:
    """at (S, 2, h, w) in cells -> (S, 405, h, w)."""
    slots, _, height, width = at.shape
    centre = at.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    side = torch.linspace(-REACH, REACH, 2 * REACH + 1, device=at.device)
    offsets = torch.stack(torch.meshgrid(side, side, indexing="ij"), -1)  # x the slow one
    found = []
    for number in range(LEVELS):
        size = levels[number].shape[-2:]
        last = at.new_tensor([max(size[1] - 1, 1), max(size[0] - 1, 1)])
        grid = 2 * (centre / 2**number + offsets) / last - 1
        read = F.grid_sample(levels[number], grid, padding_mode="border", align_corners=True)
        found.append(read.view(slots, height, width, -1))
    return torch.cat(found, -1).permute(0, 3, 1, 2).contiguous()


def step(network: AllTracker, state: State, context: Tensor, levels: list[Tensor]) -> State:
    """The state of one window's slots (S, …) after one more iteration."""
    block = network.update_block
    seen = lookup(levels, own_cells(state.flows) + state.flows)
    encoder = block.motion_encoder
    alike = F.relu(encoder.convc2(F.relu(encoder.convc1(seen))))
    moved = F.relu(encoder.convf2(F.relu(encoder.convf1(state.flows))))
    motion = F.relu(encoder.conv(torch.cat([alike, moved], 1)))
    motion = torch.cat([motion, state.flows], 1)
    x = block.compressor(torch.cat([state.feat, context, motion, state.visconfs], 1))
    for number in range(0, len(block.refine), 2):
        x = _space(block, number + 1, _time(block, number, x))
    feat = block.final_conv(x)
    flows, visconfs = network.flow_head(feat), network.visconf_head(feat)
    return State(feat, state.flows + flows, state.visconfs + visconfs)


def _time(block: UpdateBlock, number: int, x: Tensor) -> Tensor:
    """A cell's slots (S) attend to each other."""
    layer: Any = block.refine[number]
    slots, channels, height, width = x.shape
    tokens = x.permute(2, 3, 0, 1).reshape(height * width, slots, channels)
    attention, mlp = layer.block["attn"], layer.block["mlp"]
    normed = F.layer_norm(tokens, (channels,), eps=_EPS)
    key, value = attention.to_kv(normed).chunk(2, -1)
    q, k, v = (_heads(part) for part in (attention.to_q(normed), key, value))
    shares = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    mixed = (shares @ v).transpose(1, 2).reshape(tokens.shape)
    inner = tokens + attention.to_out(mixed)
    hidden = mlp.fc1(F.layer_norm(inner, (channels,), eps=_EPS))
    inner = inner + mlp.fc2(F.gelu(hidden, approximate="tanh"))
    tokens = tokens + layer.layer_scale[:, 0] * inner
    return tokens.view(height, width, slots, channels).permute(2, 3, 0, 1).contiguous()


def _heads(x: Tensor) -> Tensor:
    """(N, S, C) -> (N, heads, S, C / heads)."""
    return x.view(*x.shape[:2], _HEADS, -1).transpose(1, 2)


def _space(block: UpdateBlock, number: int, x: Tensor) -> Tensor:
    """A slot's cells see each other."""
    layer: Any = block.refine[number]
    parts = layer.block
    inner = parts["0"](x).permute(0, 2, 3, 1)
    inner = parts["5"](F.gelu(parts["3"](parts["2"](inner))))
    return x + layer.layer_scale * inner.permute(0, 3, 1, 2)
