"""Frames that a program holds in memory, as a source of a scene.

Shapes: T frames, (H, W) pixels.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dynprep.arrays import UInt8Array, check_shapes
from dynprep.scene.source import Probe, RawFrame, Source

_RATE = 24.0  # frames a second that times are made of: arrays know none


@dataclass
class ArraySource(Source):
    """Images (T, H, W, 3), RGB uint8; rows: [fx, fy, cx, cy] of every frame in pixels where they are known."""

    images: UInt8Array
    rows: list[list[float]] | None = None
    name: str = "arrays"

    def __post_init__(self) -> None:
        check_shapes(images=(self.images, "T H W 3"))
        if self.images.dtype != np.uint8 or not len(self.images):
            raise ValueError("images are meant as uint8 (T, H, W, 3), RGB in 0..255, at least one")

    def describe(self) -> str:
        return f"{len(self.images)} images in memory"

    def probe(self) -> Probe:
        return Probe(len(self.images), self.images.shape[1], self.images.shape[2])

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.images).tobytes()).hexdigest()

    def identity(self) -> dict[str, Any]:
        return {"sha256": self._digest, "shape": list(self.images.shape)}

    def frames(self) -> Iterator[RawFrame]:
        for index, image in enumerate(self.images):
            yield RawFrame(index, index / _RATE, f"{index:05d}", image)

    def intrinsics(self) -> dict[int, list[float]] | None:
        return None if self.rows is None else dict(enumerate(self.rows))
