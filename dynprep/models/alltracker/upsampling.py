"""Convex upsampling (RAFT, Teed and Deng 2020) of cells to pixels: everywhere, or where it is asked.

Each pixel's value is a weighted mean of the 3 x 3 cells around its own; the weights, a softmax of the
network's outputs, are each pixel's own, so that edges stay sharp. Outside the map cells are 0.

Shapes: B maps, (h, w) cells of 8 x 8 pixels, P pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.arrays import check_shapes
from dynprep.models.alltracker.encoder import STRIDE

_LOGITS = 0.25  # what RAFT multiplies the mask's outputs by, to balance gradients in training
_NEIGHBOURS = 9


def upsample(values: Tensor, logits: Tensor) -> Tensor:
    """Return values (B, 2, h, w) in units of cells as (B, 2, 8h, 8w) in units of pixels.

    logits (B, 576, h, w): for each of 9 neighbours, row by row, the 8 x 8 pixels of a cell. Raises
    ValueError for other shapes.
    """
    check_shapes(values=(values, "B 2 h w"), logits=(logits, "B 576 h w"))
    batch, _, height, width = values.shape
    weights = logits.reshape(batch, 1, _NEIGHBOURS, STRIDE, STRIDE, height, width).softmax(2)
    around = F.unfold(STRIDE * values, 3, padding=1)  # outside is 0
    around = around.reshape(batch, 2, _NEIGHBOURS, 1, 1, height, width)
    fine = (weights * around).sum(2)  # (B, 2, 8, 8, h, w)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, height * STRIDE, width * STRIDE)


def all_logits(mask: nn.Sequential, feat: Tensor) -> Tensor:
    """Return the weights' logits (B, 576, h, w) of features (B, 128, h, w).

    mask: the network's ``upsample_weight``. Raises ValueError for other shapes.
    """
    check_shapes(feat=(feat, "B 128 h w"))
    return _LOGITS * mask(feat)


class Pixels:
    """Some whole pixels of the network's input, grouped by their place in a cell.

    x, y (P,): whole numbers inside 8 · size; size: (h, w) in cells. Raises ValueError for other shapes.
    """

    def __init__(self, x: Tensor, y: Tensor, size: tuple[int, int]) -> None:
        check_shapes(x=(x, "P"), y=(y, "P"))
        self.size = size
        self.cell = (y // STRIDE) * size[1] + x // STRIDE
        place = (y % STRIDE) * STRIDE + x % STRIDE
        order = torch.argsort(place, stable=True)
        self.groups: list[tuple[int, Tensor]] = []  # (place in the cell, rows of x)
        for number in place.unique().tolist():
            self.groups.append((int(number), order[place[order] == number]))

    def read(self, mask: nn.Sequential, feat: Tensor, values: Tensor) -> Tensor:
        """Return what ``upsample`` gives at these pixels: (B, P, 4).

        mask: the network's ``upsample_weight``; feat (B, 128, h, w); values (B, 4, h, w). Only the mask's
        channels of the places that occur are computed, and only at their cells. Raises ValueError for
        other shapes.
        """
        size = f"{self.size[0]} {self.size[1]}"
        check_shapes(feat=(feat, f"B 128 {size}"), values=(values, f"B 4 {size}"))
        hidden = F.relu(mask[0](feat)).flatten(2).transpose(1, 2)  # (B, hw, 256)
        last = mask[2]  # a 1 x 1 convolution, so a matrix that can be applied at some cells alone
        weight = last.weight.view(_NEIGHBOURS, STRIDE * STRIDE, -1)  # type: ignore[operator,union-attr]
        bias = last.bias.view(_NEIGHBOURS, STRIDE * STRIDE)  # type: ignore[operator,union-attr]
        channels = values.shape[1]
        around = F.unfold(STRIDE * values, 3, padding=1).transpose(1, 2)
        around = around.unflatten(2, (channels, _NEIGHBOURS))  # (B, hw, 4, 9)
        read = values.new_empty(len(values), len(self.cell), channels)
        for place, rows in self.groups:
            at = self.cell[rows]
            logits = _LOGITS * F.linear(hidden[:, at], weight[:, place], bias[:, place])
            shares = logits.to(values.dtype).softmax(-1)  # (B, p, 9)
            read[:, rows] = (around[:, at] * shares[:, :, None]).sum(-1)
        return read
