"""Region similarity J and boundary accuracy F of masks (Perazzi et al. 2016, the DAVIS benchmark).

Shapes: (H, W) pixels of an image.
"""

import torch

from dynprep.arrays import BoolArray, check_shapes
from dynprep.metrics.image_mean import ImageMean
from dynprep.metrics.names import MASKS, higher_is_better_of, names_of
from dynprep.metrics.regions import boundary_f, jaccard


class MaskScores(ImageMean):
    """J and F of ``dynprep.metrics.regions``, both in 0..1, averaged over images."""

    higher_is_better = higher_is_better_of(MASKS)
    names = names_of(MASKS)

    def update(self, predicted: BoolArray, true: BoolArray) -> None:
        """Count one image: masks (H, W). Raises ValueError for masks of two shapes."""
        check_shapes(predicted=(predicted, "H W"), true=(true, "H W"))
        scores = jaccard(predicted, true), boundary_f(predicted, true)
        self.add_image(*(torch.tensor(score, dtype=torch.float64) for score in scores))
