"""Convex upsampling (RAFT, Teed and Deng 2020) of cells to pixels: everywhere, or where it is asked."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.models.alltracker.encoder import STRIDE

_LOGITS = 0.25  # of the mask's outputs
_NEIGHBOURS = 9


def upsample(values: Tensor, logits: Tensor) -> Tensor:
    """values (B, 2, h, w) in cells -> (B, 2, 8h, 8w) in pixels.

    logits (B, 576, h, w): for 9 neighbours, row-major, 8 x 8 places of a cell.
    """
    batch, _, height, width = values.shape
    weights = logits.reshape(batch, 1, _NEIGHBOURS, STRIDE, STRIDE, height, width).softmax(2)
    around = F.unfold(STRIDE * values, 3, padding=1)  # outside is 0
    around = around.reshape(batch, 2, _NEIGHBOURS, 1, 1, height, width)
    fine = (weights * around).sum(2)  # (B, 2, 8, 8, h, w)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, height * STRIDE, width * STRIDE)


def all_logits(mask: nn.Sequential, feat: Tensor) -> Tensor:
    """(B, 576, h, w) of features (B, 128, h, w)."""
    return _LOGITS * mask(feat)


class Pixels:
    """Some whole pixels of the network's input, in an order that is good for reading them."""

    def __init__(self, x: Tensor, y: Tensor, size: tuple[int, int]) -> None:
        """x, y (P,) whole numbers inside 8 · size; size (h, w) in cells."""
        self.cell = (y // STRIDE) * size[1] + x // STRIDE
        place = (y % STRIDE) * STRIDE + x % STRIDE
        order = torch.argsort(place, stable=True)
        self.groups: list[tuple[int, Tensor]] = []  # (place in the cell, rows of x)
        for number in place.unique().tolist():
            self.groups.append((int(number), order[place[order] == number]))

    def read(self, mask: nn.Sequential, feat: Tensor, values: Tensor) -> Tensor:
        """What ``upsample`` gives at these pixels: (B, P, 4) of values (B, 4, h, w).

        Only the mask's channels of the places that occur are computed, only at their cells.
        """
        hidden = F.relu(mask[0](feat)).flatten(2).transpose(1, 2)  # (B, hw, 256)
        last = mask[2]
        weight = last.weight.view(_NEIGHBOURS, STRIDE * STRIDE, -1)  # type: ignore[operator,union-attr]
        bias = last.bias.view(_NEIGHBOURS, STRIDE * STRIDE)  # type: ignore[operator,union-attr]
        channels = values.shape[1]
        around = F.unfold(STRIDE * values, 3, padding=1).transpose(1, 2)
        around = around.unflatten(2, (channels, _NEIGHBOURS))  # (B, hw, 4, 9)
        found = values.new_empty(len(values), len(self.cell), channels)
        for place, rows in self.groups:
            at = self.cell[rows]
            logits = _LOGITS * F.linear(hidden[:, at], weight[:, place], bias[:, place])
            shares = logits.to(values.dtype).softmax(-1)  # (B, p, 9)
            found[:, rows] = (around[:, at] * shares[:, :, None]).sum(-1)
        return found
