"""Frames linked by flow: where each pixel of a coarse grid is in the frames around, and what is there.

Shapes: (h, w) cells of the grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array
from dynprep.artefacts.motion import OpticalFlow
from dynprep.vision.sampling import inside, pixel_grid

_CACHED = 12  # frames whose links are cached


@dataclass(frozen=True)
class FlowLink:
    """flow and place (h, w, 2): displacement into another frame and where that is, in cells; trust (h, w): 0..1, how
    well the flow comes back; within (h, w): whether the place is on the image."""

    other: int
    flow: Float32Array
    place: Float32Array
    trust: Float32Array
    within: BoolArray

    def read(self, field: Float32Array) -> Float32Array:
        """The other frame's ``field`` (h, w) where each cell has gone."""
        x, y = self.place[..., 0], self.place[..., 1]
        return np.asarray(
            cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
        )


class FlowLinks:
    """The links of every frame of a clip. size: (h, w) of the grid; reach: longest distance in frames."""

    def __init__(self, flow: OpticalFlow, size: tuple[int, int], reach: int) -> None:
        self._flow, self._size = flow, size
        self._count = len(flow.frames)
        distances = [d for d in flow.offsets if d <= reach]
        self._distances = [sign * d for d in distances for sign in (1, -1)]
        self._scale = np.array([size[1] / flow.frames.width, size[0] / flow.frames.height])
        self._grid = pixel_grid(*size)
        self.of = lru_cache(_CACHED)(self._links)
        self._field = lru_cache(_CACHED * len(self._distances))(self._shrunk)

    def forget(self) -> None:
        """Let go of what is kept: it and these links hold each other, until somebody collects such circles."""
        self.of.cache_clear()
        self._field.cache_clear()

    def _shrunk(self, query: int, target: int) -> Float32Array:
        field = self._flow.field(query, target)
        shrunk = cv2.resize(field, self._size[::-1], interpolation=cv2.INTER_AREA)
        return (shrunk * self._scale).astype(np.float32)

    def between(self, query: int, target: int) -> FlowLink:
        """The link from one frame to another, whose distance must be one that flow was computed for."""
        flow = self._field(query, target)
        place = self._grid + flow
        x, y = np.ascontiguousarray(place[..., 0]), np.ascontiguousarray(place[..., 1])
        back = cv2.remap(
            self._field(target, query), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        error = np.linalg.norm(flow + back, axis=-1)
        within = inside(place, *self._size)
        trust = (within * np.exp(-(error**2))).astype(np.float32)
        return FlowLink(target, flow, np.dstack([x, y]), trust, within)

    def _links(self, number: int) -> list[FlowLink]:
        others = [number + d for d in self._distances if 0 <= number + d < self._count]
        return [self.between(number, other) for other in others]

    def average(
        self,
        number: int,
        field: Callable[[int], Float32Array],
        weight: Callable[[int], Float32Array] | None = None,
    ) -> Float32Array:
        """The mean (h, w) of a frame's field and of those along its links, weighted by trust and by ``weight``."""
        own = np.ones(self._size, np.float32) if weight is None else weight(number)
        total, weights = field(number) * own, own.copy()
        for link in self.of(number):
            w = link.trust if weight is None else link.trust * link.read(weight(link.other))
            total += w * link.read(field(link.other))
            weights += w
        return (total / np.maximum(weights, 1e-3)).astype(np.float32)
