"""Colours and marks that pictures of artefacts share.

Shapes: (H, W) pixels of ``images/``, N points. Pictures are RGB uint8 (H, W, 3).
"""

import cv2
import numpy as np

from dynprep.arrays import Float32Array, FloatArray, UInt8Array

_OUTER = (0.02, 0.98)  # quantiles that a colour map spans, so that single values do not squeeze it


def coloured(values: FloatArray, low: float, high: float) -> UInt8Array:
    """Values (H, W) as colours of the turbo map, ``low`` dark blue, ``high`` dark red."""
    unit = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    bgr = cv2.applyColorMap(np.rint(unit * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    return np.ascontiguousarray(bgr[..., ::-1])


def colour_span(values: FloatArray) -> tuple[float, float]:
    """The lowest and highest value that a colour map of ``values`` spans: their 2 % and 98 % quantiles."""
    low, high = np.quantile(values, _OUTER)
    return float(low), float(high)


def start_colours(points: FloatArray, width: int, height: int) -> UInt8Array:
    """A colour (N, 3) for each start position (N, 2) in pixels: hue along x, light along y."""
    if not len(points):
        return np.zeros((0, 3), np.uint8)  # OpenCV refuses pictures without pixels
    hsv = np.zeros((1, len(points), 3), np.uint8)
    hsv[0, :, 0] = np.rint(170 * points[:, 0] / max(width - 1, 1))
    hsv[0, :, 1] = 220
    hsv[0, :, 2] = np.rint(255 - 110 * points[:, 1] / max(height - 1, 1))
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0])


def draw_trails(picture: UInt8Array, ways: Float32Array, colours: UInt8Array) -> None:
    """Draw the ways (K, N, 4) of tracks through K frames onto ``picture`` in place, where they are seen."""
    for before, after in zip(ways[:-1], ways[1:], strict=True):
        seen = (before[:, 2] <= 0.5) & (after[:, 2] <= 0.5)
        for row in np.flatnonzero(seen):
            start, end = (
                tuple(np.rint(at[row, :2]).astype(int).tolist()) for at in (before, after)
            )
            paint = tuple(int(c) for c in colours[row])
            cv2.line(picture, start, end, paint, 1, cv2.LINE_AA)


def draw_points(picture: UInt8Array, tracks: Float32Array, colours: UInt8Array) -> None:
    """Draw tracks (N, 4) onto ``picture`` in place: visible points as discs, hidden ones hollow.

    Points outside, and hidden ones of which the tracker is not sure, are left out.
    """
    height, width = picture.shape[:2]
    radius = max(2, width // 240)
    for (x, y, occlusion, confidence), colour in zip(tracks, colours, strict=True):
        if not (0 <= x < width and 0 <= y < height) or (occlusion > 0.5 and confidence < 0.1):
            continue
        centre = (round(float(x)), round(float(y)))
        paint = tuple(int(c) for c in colour)
        filled = cv2.FILLED if occlusion <= 0.5 else 1
        cv2.circle(picture, centre, radius, paint, filled, cv2.LINE_AA)
