"""Names of array types, and the check of shapes that public functions begin with."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
FloatArray = NDArray[np.floating]
UInt8Array = NDArray[np.uint8]
UInt16Array = NDArray[np.uint16]
IntArray = NDArray[np.integer]
BoolArray = NDArray[np.bool_]
AnyArray = NDArray[Any]


class HasShape(Protocol):
    """A NumPy array or a PyTorch tensor."""

    @property
    def shape(self) -> Sequence[int]:
        """Length of every axis."""
        ...


def check_shapes(**expected: tuple[HasShape, str]) -> dict[str, int]:
    """Hold arrays or tensors against their shapes; return the size of every named axis.

    Each argument is (array, pattern), the pattern being names and numbers of axes separated by spaces, such
    as ``"B 3 H W"``. A name stands for the same size in all patterns of one call, ``...`` in front for any
    number of leading axes. Raises ValueError that names the argument, its shape and the pattern.
    """
    sizes: dict[str, int] = {}
    for argument, (values, pattern) in expected.items():
        shape, axes = tuple(values.shape), pattern.split()
        if axes and axes[0] == "...":
            axes = axes[1:]
            shape = shape[len(shape) - len(axes) :] if len(shape) >= len(axes) else ()
        matches = len(shape) == len(axes) and all(
            size == (int(axis) if axis.isdigit() else sizes.setdefault(axis, size))
            for axis, size in zip(axes, shape, strict=True)
        )
        if not matches:
            known = ", ".join(f"{k}={v}" for k, v in sizes.items() if k in axes)
            raise ValueError(
                f"{argument} has shape {tuple(values.shape)}; ({', '.join(pattern.split())}) is meant"
                + (f" with {known}" if known else "")
            )
    return sizes
