"""A long clip in overlapping windows, whose maps are joined into one (Chen et al. 2025, section 3.3).

A window of 32 frames begins with ten key frames of the window before it: its first two are the clip's first frame and
one from the middle, to which its scale and shift are brought, its next eight the last ones, into which it is blended.

Shapes: (H, W) pixels of a map.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from dynprep.arrays import Float32Array
from dynprep.models.video_depth_anything.temporal import LENGTH
from dynprep.vision.affine import Affine, least_squares

_KEYS = (
    0,
    12,
    24,
    25,
    26,
    27,
    28,
    29,
    30,
    31,
)  # places in a window of what the next one begins with
_BLENDED = 8  # of these, the last ones
_ANCHORS = len(_KEYS) - _BLENDED
STEP = LENGTH - len(_KEYS)  # frames by which windows follow each other


def windows(count: int) -> Iterator[list[int]]:
    """Numbers of the 32 frames of each window of a clip of ``count`` frames, the last frame repeated at its end."""
    before: list[int] = []
    for start in range(0, count, STEP):
        numbers = [min(start + k, count - 1) for k in range(LENGTH)]
        if before:
            numbers[: len(_KEYS)] = [before[k] for k in _KEYS]
        yield numbers
        before = numbers


@dataclass
class Joiner:
    """Joins the maps of one window after another.

    same_unit: maps are in one unit, so scale and shift stay; turned: how many windows had a scale below 0, which turns
    near and far round.
    """

    same_unit: bool
    turned: int = 0
    _waiting: list[Float32Array] = field(default_factory=list)
    _anchors: list[Float32Array] = field(default_factory=list)

    def add(self, maps: Sequence[Float32Array]) -> Iterator[Float32Array]:
        """Take a window's maps (H, W), in its order; yield those that are final, in the clip's."""
        if not self._anchors:
            joined = list(maps)
            self._anchors = [maps[k] for k in _KEYS[:_ANCHORS]]
        else:
            line = self._line(maps)
            brought = [_applied(one, line) for one in maps]
            weights = np.linspace(0, 1, _BLENDED, dtype=np.float32)
            overlap = brought[_ANCHORS : len(_KEYS)]
            blended = [
                old * (1 - w) + new * w
                for old, new, w in zip(self._waiting, overlap, weights, strict=True)
            ]
            joined = [*blended, *brought[len(_KEYS) :]]
            self._anchors[1:] = [brought[k] for k in _KEYS[1:_ANCHORS]]
        self._waiting = joined[-_BLENDED:]
        yield from joined[:-_BLENDED]

    def rest(self) -> Iterator[Float32Array]:
        """The maps of the last window's end."""
        yield from self._waiting

    def _line(self, maps: Sequence[Float32Array]) -> Affine | None:
        if self.same_unit:
            return None
        values = np.concatenate([one.ravel() for one in maps[:_ANCHORS]]).astype(np.float64)
        wanted = np.concatenate([one.ravel() for one in self._anchors]).astype(np.float64)
        line = least_squares(values, wanted)
        if line.scale == 0:  # of maps that are constant nothing is known
            return Affine(1.0, 0.0)
        self.turned += line.scale < 0
        return line


def _applied(values: Float32Array, line: Affine | None) -> Float32Array:
    """Scaled and shifted, but not below 0."""
    if line is None:
        return values
    moved = values * np.float32(line.scale) + np.float32(line.shift)
    return np.maximum(moved, np.float32(0))
