"""How alike a query frame's cells are to those around a place in other frames, at five scales."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS, REACH = 5, 4
CHANNELS = LEVELS * (2 * REACH + 1) ** 2


def pyramid(maps: Tensor) -> list[Tensor]:
    """maps (B, C, h, w) and their area means at half the size, four times over."""
    levels = [maps]
    for _ in range(LEVELS - 1):
        height, width = levels[-1].shape[-2:]
        levels.append(F.adaptive_avg_pool2d(levels[-1], (height // 2, width // 2)))
    return levels


def cells(height: int, width: int) -> int:
    """Cells of all levels of a pyramid over (h, w)."""
    return sum((height >> k) * (width >> k) for k in range(LEVELS))


class Correlation:
    """Looks up correlations of anchor maps (B, C, h, w) with target maps (B, S, C, h, w).

    at_once: how many (target, row of anchor cells) pairs may be correlated at a time; the volumes
    are kept when all fit, else made anew for each lookup, piece by piece.
    """

    def __init__(self, anchor: Tensor, levels: list[Tensor], at_once: int) -> None:
        self.anchor = anchor.flatten(2).transpose(1, 2) / math.sqrt(anchor.shape[1])  # (B, hw, C)
        self.size = (anchor.shape[-2], anchor.shape[-1])
        self.levels = [level.flatten(3) for level in levels]  # (B, S, C, hi * wi)
        self.sizes = [(level.shape[-2], level.shape[-1]) for level in levels]
        batch, slots = levels[0].shape[:2]
        self.kept: list[Tensor] | None = None
        self.step = max(1, at_once // self.size[0])  # targets at once, all rows of each
        if batch * slots <= self.step:
            self.kept = [
                torch.matmul(self.anchor[:, None], level).flatten(0, 1) for level in self.levels
            ]

    def lookup(self, coordinates: Tensor, rows: Tensor | None = None) -> Tensor:
        """coordinates (N, 2, h, w), x and y in cells, of all B * S targets or of those in ``rows``
        -> (N, 405, h, w): for each level 81 offsets, x the slow one."""
        if rows is None:
            rows = torch.arange(len(coordinates), device=coordinates.device)
        places = coordinates.flatten(2).transpose(1, 2)  # (N, hw, 2)
        found = [self._sampled(part, volumes) for part, volumes in self._pieces(places, rows)]
        return torch.cat(found).transpose(1, 2).unflatten(-1, self.size)

    def _pieces(self, places: Tensor, rows: Tensor) -> Iterator[tuple[Tensor, list[Tensor]]]:
        batch, slots = self.levels[0].shape[:2]
        if self.kept is not None:
            everything = len(rows) == batch * slots
            yield places, self.kept if everything else [volume[rows] for volume in self.kept]
            return
        for first in range(0, len(places), self.step):
            pairs = rows[first : first + self.step]
            b, s = pairs // slots, pairs % slots
            volumes = [torch.matmul(self.anchor[b], level[b, s]) for level in self.levels]
            yield places[first : first + self.step], volumes

    def _sampled(self, places: Tensor, volumes: list[Tensor]) -> Tensor:
        """(N, hw, 405) of N targets: places (N, hw, 2), volumes (N, hw, hi * wi) each."""
        found = []
        for number, (volume, size) in enumerate(zip(volumes, self.sizes, strict=True)):
            at = places / 2**number
            sampler = grid_sampled if volume.dtype == at.dtype else gathered
            found.append(sampler(volume.flatten(0, 1).unflatten(-1, size), at.flatten(0, 1)))
        return torch.cat(found, 1).unflatten(0, places.shape[:2])


def grid_sampled(volume: Tensor, at: Tensor) -> Tensor:
    """volume (N, hi, wi) read bilinearly at 81 offsets around ``at`` (N, 2), clamped to its border:
    (N, 81), x offset slow."""
    height, width = volume.shape[-2:]
    offsets = torch.arange(-REACH, REACH + 1, dtype=at.dtype, device=at.device)
    x = at[:, 0, None] + offsets
    y = at[:, 1, None] + offsets
    # a size of 1 has but one place, whatever the coordinate
    x = x * (2 / max(width - 1, 1)) - 1
    y = y * (2 / max(height - 1, 1)) - 1
    across, down = x.shape[1], y.shape[1]
    grid = torch.stack(
        [x[:, :, None].expand(-1, -1, down), y[:, None, :].expand(-1, across, -1)], -1
    )
    read = F.grid_sample(
        volume[:, None], grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return read.flatten(1)


def gathered(volume: Tensor, at: Tensor) -> Tensor:
    """The same, for volumes in half precision, whose coordinates must not be: (N, 81)."""
    height, width = volume.shape[-2:]
    whole = at.floor()
    fx, fy = (at - whole).to(volume.dtype).unbind(1)
    steps = torch.arange(-REACH, REACH + 2, device=at.device)
    x = (whole[:, 0, None].long() + steps).clamp(0, width - 1)
    y = (whole[:, 1, None].long() + steps).clamp(0, height - 1)
    index = x[:, :, None] + y[:, None, :] * width  # (N, 10, 10), x slow
    near = volume.flatten(1).gather(1, index.flatten(1)).unflatten(1, (2 * REACH + 2, -1))
    along = near[:, :-1] * (1 - fx)[:, None, None] + near[:, 1:] * fx[:, None, None]
    both = along[:, :, :-1] * (1 - fy)[:, None, None] + along[:, :, 1:] * fy[:, None, None]
    return both.flatten(1)
