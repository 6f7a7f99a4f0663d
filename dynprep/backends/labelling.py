"""Objects separated from the background by colour and place on a coarse grid, then cut out along colour edges.

Shapes: (H, W) pixels of ``images/``, (h, w) cells of the grid.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import BoolArray, FloatArray, UInt8Array
from dynprep.options import AtLeastOne, NotNegative, Positive, Seed, Share
from dynprep.scene.frames import Frames
from dynprep.scene.resolution import resize, work_size
from dynprep.stages.base import Stage
from dynprep.vision.appearance import Appearance, Scales
from dynprep.vision.motion import cut_out, drop_specks

_SMALLEST_SIDE = 8  # cells


@dataclass
class Labelling(Stage):
    """The options of ``conf/_shared/labelling.yaml``, mixed into a stage that labels a clip's pixels."""

    grid: AtLeastOne
    features: AtLeastOne
    lightness: Positive
    chroma: Positive
    place: Positive
    time: Positive
    band: Share
    opening: Share
    smallest: Share
    colour_rounds: NotNegative
    seed: Seed

    def work(self, frames: Frames) -> tuple[int, int]:
        """The size at which motion is measured and masks are cut out."""
        return work_size(frames, self.context.resolution.motion_input)

    def cells(self, frames: Frames) -> tuple[int, int]:
        """The size (h, w) of the grid."""
        work = self.work(frames)
        shrink = min(1.0, self.grid / max(work))
        height, width = (max(_SMALLEST_SIDE, round(side * shrink)) for side in work)
        return height, width

    def appearance(self) -> Appearance:
        """A model of labels that has learnt nothing yet."""
        scales = Scales((self.lightness, self.chroma, self.chroma), self.place, self.time)
        return Appearance(self.features, scales, self.seed)

    def cut(self, rgb: UInt8Array, odds: FloatArray, frames: Frames) -> BoolArray:
        """The mask (H, W) of a frame (H, W, 3) whose log-odds (h, w) are above 0 on objects."""
        work = self.work(frames)
        rough = cv2.resize(odds.astype(np.float32), work[::-1], interpolation=cv2.INTER_LINEAR) > 0
        longest = max(work)
        band, opening = (max(1, round(s * longest)) for s in (self.band, self.opening))
        mask = cut_out(resize(rgb, work), rough, band, opening, self.colour_rounds)
        mask = drop_specks(mask, self.smallest * mask.size)
        if mask.shape == frames.size:
            return mask
        smooth = mask.astype(np.float32)
        return cv2.resize(smooth, frames.size[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5
