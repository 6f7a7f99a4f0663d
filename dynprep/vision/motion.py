"""What moves on its own: how far a flow is from any that a rigid scene could give.

Shapes: (H, W) pixels, V views; ``...`` any axes.
"""

import cv2
import numpy as np

from dynprep.arrays import BoolArray, FloatArray, UInt8Array, check_shapes
from dynprep.vision.epipolar import triangulate


def rigid_residual(
    rays: FloatArray,
    seen: FloatArray,
    rotation: FloatArray,
    translation: FloatArray,
    farthest: float,
    nearest: float,
) -> FloatArray:
    """Return the distance (...) of observed points from where static ones could be.

    rays (..., 3) with z = 1 in the source camera; seen (..., 2): where they are observed in the target;
    rotation (3, 3), translation (3,): from source to target camera; farthest, nearest: the least and
    greatest plausible inverse depth, in 1 / unit of the translation.

    As its depth varies, a static point moves along its epipolar line; its plausible depths leave a segment
    of that line. The distance from the segment catches what leaves the line and what moves along it too
    fast, or backwards. The segment's nearest point is taken at the inverse depth that fits the line best,
    clipped to the plausible range. Distances are in normalised image coordinates, like ``seen``. Raises
    ValueError for other shapes.
    """
    check_shapes(rays=(rays, "... 3"), seen=(seen, "... 2"))
    check_shapes(rotation=(rotation, "3 3"), translation=(translation, "3"))
    z = np.clip(triangulate(rays, seen, rotation, translation)[0], farthest, nearest)
    # a point at depth 1/z, R · ray / z + t, times z: the projection is the same, and z = 0 is infinity
    moved = rays @ rotation.T + z[..., None] * translation
    projected = moved[..., :2] / np.maximum(moved[..., 2:], 1e-6)
    return np.linalg.norm(seen - projected, axis=-1)


def lower_quartile(stack: FloatArray) -> FloatArray:
    """Return the 25 % quantile (...) of ``stack`` (V, ...) over its first axis, NaN left out.

    It is linear between order statistics, as NumPy's default; 0 where all values are NaN. NumPy's own
    nanquantile gives the same, much more slowly.
    """
    valid = np.isfinite(stack).sum(0)
    ordered = np.sort(np.where(np.isfinite(stack), stack, np.inf), axis=0)
    place = 0.25 * np.maximum(valid - 1, 0)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(valid - 1, 0))
    a = np.take_along_axis(ordered, low[None], 0)[0]
    b = np.take_along_axis(ordered, high[None], 0)[0]
    with np.errstate(invalid="ignore"):
        return np.where(valid > 0, a + (b - a) * (place - low), 0.0)


def cut_out(rgb: UInt8Array, moving: BoolArray, band: int, opening: int, rounds: int) -> BoolArray:
    """Bring a motion mask (H, W) to the object's edges by colour: GrabCut (Rother et al. 2004).

    rgb (H, W, 3) in 0..255. Pixels deeper than ``band`` px inside the mask stay, pixels farther than
    ``band`` outside stay out, what lies between is decided by colour in ``rounds`` iterations. Specks and
    holes below ``opening`` px are removed first. Raises ValueError for other shapes.
    """
    check_shapes(rgb=(rgb, "H W 3"), moving=(moving, "H W"))
    brush = np.ones((opening, opening), np.uint8)
    seed = cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_CLOSE, brush)
    seed = cv2.morphologyEx(seed, cv2.MORPH_OPEN, brush)
    reach = np.ones((band, band), np.uint8)
    near = cv2.dilate(seed, reach) > 0
    if not seed.any() or near.all():
        return seed > 0  # GrabCut needs both foreground and background
    trimap = np.full(seed.shape, cv2.GC_BGD, np.uint8)
    trimap[near] = cv2.GC_PR_BGD
    trimap[seed > 0] = cv2.GC_PR_FGD
    trimap[cv2.erode(seed, reach) > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)  # GrabCut starts its colour models by k-means
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))  # OpenCV's size: 5 Gaussians of 13 numbers each
    cv2.grabCut(bgr, trimap, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)


def drop_specks(mask: BoolArray, smallest: float) -> BoolArray:
    """Return the mask (H, W) without connected parts of fewer than ``smallest`` pixels.

    Raises ValueError for another number of axes.
    """
    check_shapes(mask=(mask, "H W"))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), None)
    keep = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= smallest]
    return np.isin(labels, keep)
