"""The object that points and a box mark on one frame, cut out by colour.

Shapes: (H, W) pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from dynprep.arrays import BoolArray, UInt8Array, check_shapes

_ROUNDS = 5  # of GrabCut
_LONGEST = (
    480  # pixels of the long side of the part that is looked at: the time grows with their square
)
_MARGIN = 1.0  # around what may be the object, as a share of its sides: there the background's colours are learnt
_LEAST_MARGIN = 0.1  # of the image's long side: the margin around what is small
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
    region = _cut_out(rgb, trimap)
    if inside:
        parts = cv2.connectedComponents(region.astype(np.uint8))[1]
        region &= np.isin(parts, [parts[y, x] for x, y in inside])
    return region


def _cut_out(rgb: UInt8Array, trimap: UInt8Array) -> BoolArray:
    """The region (H, W) that GrabCut makes of a trimap (H, W), in a smaller picture of the part that may be the object
    and what is around it."""
    left, top, width, height = cv2.boundingRect((trimap != cv2.GC_BGD).astype(np.uint8))
    least = round(_LEAST_MARGIN * max(trimap.shape))
    wide, high = max(least, round(_MARGIN * width)), max(least, round(_MARGIN * height))
    rows = slice(max(0, top - high), top + height + high)
    columns = slice(max(0, left - wide), left + width + wide)
    part, labels = rgb[rows, columns], trimap[rows, columns]
    full = part.shape[1], part.shape[0]
    shrink = min(1.0, _LONGEST / max(full))
    size = max(1, round(full[0] * shrink)), max(1, round(full[1] * shrink))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    if (labels % 2 == 0).any() and (labels % 2 == 1).any():  # even labels are background
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        bgr = np.ascontiguousarray(small[..., ::-1])
        cv2.grabCut(bgr, labels, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    share = cv2.resize((labels % 2).astype(np.float32), full, interpolation=cv2.INTER_LINEAR)
    region = np.zeros(trimap.shape, bool)
    # what is certain stays so, where shrinking has left it out
    certain = trimap[rows, columns]
    region[rows, columns] = ((share > 0.5) & (certain != cv2.GC_BGD)) | (certain == cv2.GC_FGD)
    return region
