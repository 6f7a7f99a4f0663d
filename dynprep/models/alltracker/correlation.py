"""How alike a query frame's cells are to those around a place in other frames, at five scales.

The correlation volumes of RAFT (Teed and Deng 2020), with levels made by averaging feature maps.

Shapes: B anchor maps, S targets of each, C channels, (h, w) cells of 8 x 8 pixels, (hi, wi) cells of level
i, N pairs of an anchor and a target, M places.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from dynprep.arrays import check_shapes

LEVELS, REACH = 5, 4  # scales, and cells that a lookup reaches to each side at every scale
CHANNELS = LEVELS * (2 * REACH + 1) ** 2


def pyramid(maps: Tensor) -> list[Tensor]:
    """Return maps (B, C, h, w) and their area means at 1/2, 1/4, 1/8 and 1/16 of the size.

    Raises ValueError for another number of axes.
    """
    check_shapes(maps=(maps, "B C h w"))
    levels = [maps]
    for _ in range(LEVELS - 1):
        height, width = levels[-1].shape[-2:]
        levels.append(F.adaptive_avg_pool2d(levels[-1], (height // 2, width // 2)))
    return levels


def cells(height: int, width: int) -> int:
    """Return the number of cells in all levels of a pyramid over (height, width) cells."""
    return sum((height >> k) * (width >> k) for k in range(LEVELS))


class Correlation:
    """Correlations of anchor maps with target maps, read around given places.

    anchor (B, C, h, w); levels: pyramid of the targets, the first (B, S, C, h, w). at_once: how many
    (target, row of anchor cells) pairs may be correlated at a time: the volumes are cached when all fit,
    else made anew for each lookup, piece by piece. Raises ValueError for other shapes.
    """

    def __init__(self, anchor: Tensor, levels: list[Tensor], at_once: int) -> None:
        check_shapes(anchor=(anchor, "B C h w"), targets=(levels[0], "B S C h w"))
        # divided by the root of the channels, as in attention, so that values do not grow with these
        self.anchor = anchor.flatten(2).transpose(1, 2) / math.sqrt(anchor.shape[1])  # (B, hw, C)
        self.size = (anchor.shape[-2], anchor.shape[-1])
        self.levels = [level.flatten(3) for level in levels]  # (B, S, C, hi * wi)
        self.sizes = [(level.shape[-2], level.shape[-1]) for level in levels]
        batch, slots = levels[0].shape[:2]
        self.cached_volumes: list[Tensor] | None = None  # (B * S, hw, hi * wi) each
        self.step = max(1, at_once // self.size[0])  # targets at once, all rows of each
        if batch * slots <= self.step:
            self.cached_volumes = [
                torch.matmul(self.anchor[:, None], level).flatten(0, 1) for level in self.levels
            ]

    def lookup(self, coordinates: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return correlations (N, 405, h, w) around places in the targets.

        coordinates (N, 2, h, w): x then y in cells, of all N = B * S targets, or of the targets ``rows``
        (N,). The channels are 81 offsets for each of five levels, offsets in x outermost. Raises
        ValueError for other shapes.
        """
        if rows is None:
            rows = torch.arange(len(coordinates), device=coordinates.device)
        size = f"{self.size[0]} {self.size[1]}"
        check_shapes(coordinates=(coordinates, f"N 2 {size}"), rows=(rows, "N"))
        places = coordinates.flatten(2).transpose(1, 2)  # (N, hw, 2)
        sampled = [self._sampled(part, volumes) for part, volumes in self._pieces(places, rows)]
        return torch.cat(sampled).transpose(1, 2).unflatten(-1, self.size)

    def _pieces(self, places: Tensor, rows: Tensor) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Places and the volumes (N, hw, hi * wi) of their targets, as many as fit at a time."""
        batch, slots = self.levels[0].shape[:2]
        if (cached := self.cached_volumes) is not None:
            everything = len(rows) == batch * slots
            yield places, cached if everything else [volume[rows] for volume in cached]
            return
        for first in range(0, len(places), self.step):
            pairs = rows[first : first + self.step]
            b, s = pairs // slots, pairs % slots
            volumes = [torch.matmul(self.anchor[b], level[b, s]) for level in self.levels]
            yield places[first : first + self.step], volumes

    def _sampled(self, places: Tensor, volumes: list[Tensor]) -> Tensor:
        """Correlations (N, hw, 405) at places (N, hw, 2) from volumes (N, hw, hi * wi)."""
        sampled = []
        for number, (volume, size) in enumerate(zip(volumes, self.sizes, strict=True)):
            at = places / 2**number
            sampler = grid_sampled if volume.dtype == at.dtype else gathered
            sampled.append(sampler(volume.flatten(0, 1).unflatten(-1, size), at.flatten(0, 1)))
        return torch.cat(sampled, 1).unflatten(0, places.shape[:2])


def grid_sampled(volume: Tensor, at: Tensor) -> Tensor:
    """Read ``volume`` (M, hi, wi) bilinearly at 81 offsets around ``at`` (M, 2), x then y in cells.

    Returns (M, 81), offsets in x outermost. Places outside read the nearest border cell.
    """
    height, width = volume.shape[-2:]
    offsets = torch.arange(-REACH, REACH + 1, dtype=at.dtype, device=at.device)
    x = at[:, 0, None] + offsets
    y = at[:, 1, None] + offsets
    # to -1..1 from the first cell's centre to the last one's; a size of 1 has but one place, whatever
    # the coordinate
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
    """Return what ``grid_sampled`` does, for volumes in half precision: (M, 81).

    Coordinates stay in float32, since bfloat16 has steps of a whole cell from 128 cells on;
    ``grid_sample`` takes only coordinates of the volume's number format.
    """
    height, width = volume.shape[-2:]
    floored = at.floor()
    fx, fy = (at - floored).to(volume.dtype).unbind(1)
    steps = torch.arange(-REACH, REACH + 2, device=at.device)
    x = (floored[:, 0, None].long() + steps).clamp(0, width - 1)
    y = (floored[:, 1, None].long() + steps).clamp(0, height - 1)
    index = x[:, :, None] + y[:, None, :] * width  # (M, 10, 10), x outermost
    # all offsets share the fraction, so 10 x 10 cells are read once and mixed along x, then along y
    near = volume.flatten(1).gather(1, index.flatten(1)).unflatten(1, (2 * REACH + 2, -1))
    along = near[:, :-1] * (1 - fx)[:, None, None] + near[:, 1:] * fx[:, None, None]
    both = along[:, :, :-1] * (1 - fy)[:, None, None] + along[:, :, 1:] * fy[:, None, None]
    return both.flatten(1)
