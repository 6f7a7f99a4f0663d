"""Cuts between neighbouring frames, seen in thumbnails.

Shapes: (H, W) pixels of a frame, (h, w) of a thumbnail, B bins of colours.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import Float32Array, UInt8Array

_SIZE = (48, 27)  # width, height in pixels
_BINS = 8  # of each colour's histogram


@dataclass(frozen=True)
class Thumbnail:
    """A frame in small: brightness (h, w) in grey levels of 255, and the share of pixels by bin of colours (B,)."""

    grey: Float32Array
    colours: Float32Array


@dataclass(frozen=True)
class Change:
    """How two neighbours differ.

    difference: mean of brightness, in grey levels of 255; colours: share of pixels whose colour the other has not;
    likeness: Pearson's correlation of the thumbnails.
    """

    difference: float
    colours: float
    likeness: float

    def is_cut(self, cut: float, cut_likeness: float) -> bool:
        """Whether there is a cut between them: other colours (above ``cut``), and in other places."""
        return self.colours > cut and self.likeness <= cut_likeness


def thumbnail(rgb: UInt8Array) -> Thumbnail:
    """The thumbnail of a frame (H, W, 3)."""
    small = cv2.resize(rgb, _SIZE, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    counts = cv2.calcHist([small], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3).ravel()
    return Thumbnail(grey, counts / counts.sum())


def change(before: Thumbnail, after: Thumbnail) -> Change:
    """How a frame differs from the one before."""
    return Change(
        float(np.abs(after.grey - before.grey).mean()),
        1 - float(np.minimum(after.colours, before.colours).sum()),
        _correlation(after.grey, before.grey),
    )


def _correlation(a: Float32Array, b: Float32Array) -> float:
    """Pearson's correlation of two pictures; 1 for two of one colour each."""
    x, y = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / norm if norm > 0 else 1.0
