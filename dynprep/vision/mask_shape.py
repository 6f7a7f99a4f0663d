"""Masks made wider, narrower, or free of specks and holes.

Shapes: (H, W) pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array


@dataclass(frozen=True)
class MaskShape:
    """What is done to a mask, in this order.

    fill_holes: background that an object encloses becomes object; min_area: pixels below which a part of an object is
    dropped; erode, dilate: pixels by which its edge moves in, then out.
    """

    fill_holes: bool
    min_area: int
    erode: int
    dilate: int

    def apply(self, mask: BoolArray) -> BoolArray:
        """The mask (H, W), shaped."""
        shaped = mask.astype(np.uint8)
        if self.fill_holes:
            outlines, _ = cv2.findContours(shaped, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(shaped, outlines, -1, 1, cv2.FILLED)
        if self.min_area:
            _, labels, stats, _ = cv2.connectedComponentsWithStats(shaped)
            keep = stats[:, cv2.CC_STAT_AREA] >= self.min_area
            keep[0] = False
            shaped = keep[labels].astype(np.uint8)
        if self.erode:
            # what lies beyond the image's edge counts as object, else objects would shrink there too
            shaped = cv2.erode(
                shaped, _disc(self.erode), borderType=cv2.BORDER_CONSTANT, borderValue=1
            )
        if self.dilate:
            shaped = cv2.dilate(shaped, _disc(self.dilate))
        return shaped > 0


def _disc(radius: int) -> np.ndarray:
    side = 2 * radius + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def clearest_part(
    mask: BoolArray, motion: Float32Array, threshold: float
) -> tuple[BoolArray, float]:
    """The connected part of a mask (H, W) that is clearest as an object, and how clear it is, 0 where there is none.

    Clarity is the part's share of the image, times the share of its box's sides that are not on the image's edge,
    times how far its median motion is above the threshold, at most 1. motion (h, w): in pixels a frame, at any size;
    threshold: above which something moves.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    size = (mask.shape[1], mask.shape[0])
    speed = cv2.resize(motion, size, interpolation=cv2.INTER_NEAREST)
    best, clarity = 0, 0.0
    for label in range(1, count):
        left, top, width, height, area = (int(v) for v in stats[label])
        sides = (left > 0, top > 0, left + width < size[0], top + height < size[1])
        fast = float(np.median(speed[labels == label])) / threshold - 1
        one = area / mask.size * sum(sides) / len(sides) * min(1.0, max(0.0, fast))
        if one > clarity:
            best, clarity = label, one
    return (labels == best) & mask, clarity
