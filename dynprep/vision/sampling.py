"""Reading images and flow fields between pixels; pixel centres are whole numbers.

Shapes: (H, W) pixels of an image or field, (h, w) points of a grid, C channels; ``...`` any axes.
"""

import cv2
import numpy as np

from dynprep.arrays import AnyArray, BoolArray, check_shapes

# points a row of the maps that OpenCV's remap takes, whose sides must be below 2**15
_ROW = 4096


def pixel_grid(height: int, width: int, step: int = 1) -> AnyArray:
    """Return pixel coordinates (h, w, 2), x then y, at 0, step, 2 · step … below the size, float32."""
    x = np.arange(0, width, step, dtype=np.float32)
    y = np.arange(0, height, step, dtype=np.float32)
    return np.stack(np.meshgrid(x, y), -1)


def sample(field: AnyArray, points: AnyArray) -> AnyArray:
    """Read ``field`` (H, W) or (H, W, C) bilinearly at ``points`` (..., 2), x then y in pixels.

    Returns (...) or (..., C). Points outside read the nearest border pixel. Raises ValueError for other
    shapes.
    """
    check_shapes(field=(field, "H W" if field.ndim == 2 else "H W C"), points=(points, "... 2"))
    flat = points.reshape(-1, 2).astype(np.float32)
    count = len(flat)
    # remap takes no long lists, so points are laid out in rows of an image, the last one filled up
    rows = max(1, -(-count // _ROW))
    padded = np.zeros((rows * _ROW, 2), np.float32)
    padded[:count] = flat
    x, y = (np.ascontiguousarray(padded[:, k].reshape(rows, _ROW)) for k in (0, 1))
    out = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    out = out.reshape(rows * _ROW, *field.shape[2:])[:count]
    return out.reshape(*points.shape[:-1], *field.shape[2:])


def inside(points: AnyArray, height: int, width: int, margin: float = 0.0) -> BoolArray:
    """Return which of ``points`` (..., 2), x then y in pixels, lie on the image: (...).

    The image reaches half a pixel beyond the centres of its border pixels; ``margin`` pixels of border
    are left out. Raises ValueError for other shapes.
    """
    check_shapes(points=(points, "... 2"))
    x, y = points[..., 0], points[..., 1]
    low = margin - 0.5
    return (x >= low) & (y >= low) & (x <= width - 1 - low) & (y <= height - 1 - low)
