"""One frame after another, each seen with what frames before it left (Video Depth Anything's streaming form).

Shapes: N places of a feature map, P frames that are looked at, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dynprep.models.video_depth_anything.temporal import LENGTH
from dynprep.models.video_depth_anything.windows import STEP

_FIRST = 2  # frames of those kept that are looked at beside the last ones
# the second of the first frames is as far back as the second key frame of a window is at most
_KEPT = 2 * STEP - 1 - _FIRST + 1


class Stream:
    """What frames left, as far as later ones look at it: as many as 42 of them, however long the clip."""

    def __init__(self) -> None:
        self._kept: list[Sequence[Tensor]] = []

    def past(self) -> list[Tensor] | None:
        """States (N, P, C) that the next frame looks at; None for the first one."""
        if not self._kept:
            return None
        seen = [*self._kept[:_FIRST], *self._kept[-(LENGTH - 1 - _FIRST) :]]
        return [torch.cat(states, 1) for states in zip(*seen, strict=True)]

    def add(self, states: Sequence[Tensor]) -> None:
        """Keep what a frame left (N, 1, C); the first one stands for a whole window of its like."""
        if not self._kept:
            self._kept = [states] * LENGTH
            return
        self._kept.append(states)
        if len(self._kept) > _KEPT:
            del self._kept[1]
