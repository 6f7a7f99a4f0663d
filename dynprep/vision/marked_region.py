"""The object that points and a box mark on one frame, cut out by colour.

Shapes: (H, W) pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from dynprep.arrays import BoolArray, UInt8Array, check_shapes

_ROUNDS = 5  # of GrabCut
_DISC = 0.012  # radius of what a point marks for certain, as a share of the long side
# shares of the long side: how far from its points an object may reach without a box, and where it is likely
_REACH, _CLOSE = 0.25, 0.08


def marked_region(
    rgb: UInt8Array,
    points: Sequence[tuple[float, float, bool]],
    box: tuple[float, float, float, float] | None,
) -> BoolArray:
    """The region (H, W) of an object in a frame (H, W, 3), by GrabCut (Rother et al. 2004).

    points: x, y and whether inside; box: left, top, right, bottom, in pixels. With a box, what lies outside of it is
    background; without, what is far from every point inside. Parts that hold no point inside are dropped when there
    are such points. Raises ValueError for another shape.
    """
    check_shapes(rgb=(rgb, "H W 3"))
    height, width = rgb.shape[:2]
    longest = max(height, width)
    places = [(min(round(x), width - 1), min(round(y), height - 1)) for x, y, _ in points]
    signs = [is_inside for _, _, is_inside in points]
    inside = [place for place, sign in zip(places, signs, strict=True) if sign]
    near = np.zeros((height, width), np.uint8)
    if box is not None:
        left, top, right, bottom = (round(v) for v in box)
        near[min(top, height - 1) : bottom + 1, min(left, width - 1) : right + 1] = 1
    else:
        for place in inside:
            cv2.circle(near, place, round(_REACH * longest), 1, cv2.FILLED)
    trimap = np.where(near > 0, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if box is None:  # a disc holds more background than a box that was drawn around the object
        trimap[near > 0] = cv2.GC_PR_BGD
        for place in inside:
            cv2.circle(trimap, place, round(_CLOSE * longest), cv2.GC_PR_FGD, cv2.FILLED)
    for place, is_inside in zip(places, signs, strict=True):
        label = cv2.GC_FGD if is_inside else cv2.GC_BGD
        cv2.circle(trimap, place, max(1, round(_DISC * longest)), label, cv2.FILLED)
    if (trimap % 2 == 0).any() and (trimap % 2 == 1).any():  # even labels are background
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        cv2.grabCut(bgr, trimap, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    region = trimap % 2 == 1
    if inside:
        parts = cv2.connectedComponents(region.astype(np.uint8))[1]
        region &= np.isin(parts, [parts[y, x] for x, y in inside])
    return region
