"""Region similarity J and boundary accuracy F of masks (Perazzi et al. 2016)."""

import torch

from dynprep.metrics.image_mean import ImageMean
from dynprep.metrics.regions import Mask, boundary_f, jaccard


class MaskScores(ImageMean):
    """J, intersection over union, 1 where both masks are empty; F, harmonic mean of precision and
    recall of boundaries."""

    higher_is_better = True
    names = ("J", "F")

    def update(self, predicted: Mask, true: Mask) -> None:
        """Count one image: masks (H, W)."""
        scores = jaccard(predicted, true), boundary_f(predicted, true)
        self.add_image(*(torch.tensor(score, dtype=torch.float64) for score in scores))
