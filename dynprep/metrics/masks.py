"""Region similarity J and boundary accuracy F of masks (Perazzi et al. 2016)."""

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dynprep.metrics.image_mean import ImageMean

Mask = NDArray[np.bool_]

_TOLERANCE = 0.008  # of the image's diagonal: how far a boundary may be off


class MaskScores(ImageMean):
    """J, intersection over union, 1 where both masks are empty; F, harmonic mean of precision and
    recall of boundaries."""

    higher_is_better = True
    names = ("J", "F")

    def update(self, predicted: Mask, true: Mask) -> None:
        """Count one image: masks (H, W)."""
        scores = jaccard(predicted, true), boundary_f(predicted, true)
        self.add_image(*(torch.tensor(score, dtype=torch.float64) for score in scores))


def jaccard(predicted: Mask, true: Mask) -> float:
    """J of two masks (H, W); 1 where both are empty."""
    union = np.logical_or(predicted, true).sum()
    return float(np.logical_and(predicted, true).sum() / union) if union else 1.0


def boundary_f(predicted: Mask, true: Mask) -> float:
    """F of two masks (H, W): boundaries match where they are at most 0.8 % of the diagonal apart;
    1 where neither has one, 0 where one has."""
    ours, theirs = boundary(predicted), boundary(true)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    reach = math.ceil(_TOLERANCE * math.hypot(*true.shape))
    precision = float(ours[_widened(theirs, reach)].sum() / ours.sum())
    recall = float(theirs[_widened(ours, reach)].sum() / theirs.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: Mask) -> Mask:
    """Pixels (H, W) that differ from the one on their right, below, or both, as DAVIS's tools
    count them."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here, right, below = mask, padded[:-1, 1:], padded[1:, :-1]
    return (here != right) | (here != below) | (here != padded[1:, 1:])


def _widened(edges: Mask, reach: int) -> Mask:
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x * x + y * y <= reach * reach).astype(np.uint8)
    return cv2.dilate(edges.astype(np.uint8), disc) > 0
