"""Reading images and flow fields between pixels; pixel centres are whole numbers."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# OpenCV's remap takes maps with sides below 2**15
_ROW = 4096


def pixel_grid(height: int, width: int, step: int = 1) -> Array:
    """Pixel coordinates (h, w, 2) as (x, y) at 0, step, 2·step … below the size, row-major."""
    x = np.arange(0, width, step, dtype=np.float32)
    y = np.arange(0, height, step, dtype=np.float32)
    return np.stack(np.meshgrid(x, y), -1)


def sample(field: Array, points: Array) -> Array:
    """``field`` (H, W) or (H, W, C) bilinearly at ``points`` (..., 2) as (x, y): (..., C).

    Points outside read the nearest border pixel.
    """
    flat = points.reshape(-1, 2).astype(np.float32)
    count = len(flat)
    rows = max(1, -(-count // _ROW))
    padded = np.zeros((rows * _ROW, 2), np.float32)
    padded[:count] = flat
    x, y = (np.ascontiguousarray(padded[:, k].reshape(rows, _ROW)) for k in (0, 1))
    out = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    out = out.reshape(rows * _ROW, *field.shape[2:])[:count]
    return out.reshape(*points.shape[:-1], *field.shape[2:])


def warp(field: Array, flow: Array) -> Array:
    """``field`` of the target brought to the query frame: ``field(p + flow(p))``."""
    height, width = flow.shape[:2]
    at = flow + pixel_grid(height, width)
    return cv2.remap(
        field, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def inside(points: Array, height: int, width: int, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which ``points`` (..., 2) lie on the image, ``margin`` pixels of border left out."""
    x, y = points[..., 0], points[..., 1]
    low = margin - 0.5
    return (x >= low) & (y >= low) & (x <= width - 1 - low) & (y <= height - 1 - low)


def cycle_error(forward: Array, backward: Array) -> Array:
    """How far (H, W) in pixels a query pixel lands from itself after there and back again."""
    return np.linalg.norm(forward + warp(backward, forward), axis=-1)
