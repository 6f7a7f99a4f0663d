"""The size of ``images/``, and the sizes that backends work at."""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np

from dynprep.arrays import AnyArray
from dynprep.options import Range
from dynprep.scene.frames import Frame, Frames
from dynprep.scene.source import Probe

_FEWEST_DIGITS = 5  # of a stem
Side = Annotated[int, Range(1, 16384)]


@dataclass(frozen=True)
class Resolution:
    """The group ``resolution``; all sizes are in pixels."""

    short_side: Annotated[int, Range(16, 16384)] | None
    multiple_of: Annotated[int, Range(1, 512)]
    upscale: bool
    depth_input: Side
    prior_input: Side
    flow_input: Side
    flow_upscale: bool
    motion_input: Side

    def target(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) of ``images/`` for a source of this size."""
        scale = 1.0 if self.short_side is None else self.short_side / min(height, width)
        if scale > 1 and not self.upscale:
            scale = 1.0

        def fit(side: int) -> int:
            return max(1, round(side * scale / self.multiple_of)) * self.multiple_of

        return fit(height), fit(width)


def work_size(frames: Frames, longest: int) -> tuple[int, int]:
    """(h, w) of ``images/`` brought to at most ``longest`` pixels on the long side."""
    scale = min(1.0, longest / max(frames.height, frames.width))
    return max(1, round(frames.height * scale)), max(1, round(frames.width * scale))


def resize(image: AnyArray, size: tuple[int, int]) -> AnyArray:
    """``image`` (H, W) or (H, W, C) at (h, w): areas averaged when smaller, bicubic when larger."""
    if image.shape[:2] == size:
        return image
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size[::-1], interpolation=how))


def stem_of(number: int, count: int) -> str:
    """The stem of frame ``number`` of a clip of ``count`` frames: zero-padded, all of one width."""
    return f"{number:0{max(_FEWEST_DIGITS, len(str(count - 1)))}d}"


def expected_frames(probe: Probe, resolution: Resolution) -> Frames:
    """The table of frames as far as headers tell, for estimates."""
    height, width = resolution.target(probe.height, probe.width)
    table = tuple(Frame(stem_of(k, probe.count), k, 0.0, f"frame {k}") for k in range(probe.count))
    return Frames(table, ".png", height, width, probe.height, probe.width)
