"""Region similarity of masks (Perazzi et al., 2016)."""

import numpy as np
from numpy.typing import NDArray


def jaccard(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """J, intersection over union of two masks (H, W); 1 where both are empty."""
    union = np.logical_or(predicted, true).sum()
    return float(np.logical_and(predicted, true).sum() / union) if union else 1.0
