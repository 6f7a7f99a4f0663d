"""Networks' weights: found, fetched, read, identified. Knows nothing of what uses them."""

from dynprep.weights.location import Weights
from dynprep.weights.tensors import read_tensors

__all__ = ["Weights", "read_tensors"]
