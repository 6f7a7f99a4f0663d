"""What moves on its own: how far a flow is from any that a rigid scene could give."""

import cv2
import numpy as np
from numpy.typing import NDArray

from dynprep.vision.epipolar import triangulate

Array = NDArray[np.floating]


def rigid_residual(
    rays: Array,
    seen: Array,
    rotation: Array,
    translation: Array,
    farthest: float,
    nearest: float,
) -> Array:
    """Distance (...) of ``seen`` (..., 2) from the epipolar segment of plausible depths.

    The segment holds what a static point of inverse depth ``farthest`` to ``nearest`` could show;
    it catches what leaves the epipolar line and what moves along it too fast, or backwards.
    Normalised units in, normalised units out.
    """
    z = np.clip(triangulate(rays, seen, rotation, translation)[0], farthest, nearest)
    moved = rays @ rotation.T + z[..., None] * translation
    there = moved[..., :2] / np.maximum(moved[..., 2:], 1e-6)
    return np.linalg.norm(seen - there, axis=-1)


def lower_quartile(stack: Array) -> Array:
    """The 25 % quantile over axis 0, NaN left out; 0 where all are NaN."""
    valid = np.isfinite(stack).sum(0)
    ordered = np.sort(np.where(np.isfinite(stack), stack, np.inf), axis=0)
    place = 0.25 * np.maximum(valid - 1, 0)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(valid - 1, 0))
    a = np.take_along_axis(ordered, low[None], 0)[0]
    b = np.take_along_axis(ordered, high[None], 0)[0]
    with np.errstate(invalid="ignore"):
        return np.where(valid > 0, a + (b - a) * (place - low), 0.0)


def cut_out(
    rgb: NDArray[np.uint8], moving: NDArray[np.bool_], band: int, opening: int, rounds: int
) -> NDArray[np.bool_]:
    """A motion mask (H, W) brought to the object's edges by colour (GrabCut, Rother et al. 2004).

    Pixels deeper than ``band`` px inside stay, pixels farther than ``band`` outside stay out,
    what lies between is decided by colour. ``opening``: specks and holes below this size (px) go.
    """
    brush = np.ones((opening, opening), np.uint8)
    seed = cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_CLOSE, brush)
    seed = cv2.morphologyEx(seed, cv2.MORPH_OPEN, brush)
    reach = np.ones((band, band), np.uint8)
    near = cv2.dilate(seed, reach) > 0
    if not seed.any() or near.all():
        return seed > 0
    trimap = np.full(seed.shape, cv2.GC_BGD, np.uint8)
    trimap[near] = cv2.GC_PR_BGD
    trimap[seed > 0] = cv2.GC_PR_FGD
    trimap[cv2.erode(seed, reach) > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)  # GrabCut starts its colour models by k-means
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, trimap, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)


def drop_specks(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_]:
    """Connected parts below ``smallest`` pixels removed."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), None)
    keep = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= smallest]
    return np.isin(labels, keep)
