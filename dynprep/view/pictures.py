"""A stage's result at one frame as a picture a person can judge."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from dynprep.stages.flow import OCCLUSION, read_tracks, targets_of
from dynprep.stages.inputs import SceneResults
from dynprep.stages.masks import read_mask
from dynprep.stages.structure import Maps

Rgb = NDArray[np.uint8]
Picture = Callable[[SceneResults, str], Rgb]

_TINT = np.array([255, 64, 96], np.float32)  # of objects in mask overlays
_TRACKS_ACROSS = 32  # points drawn over the width
_LATER = 6  # frames between the query and the frame that tracks are drawn to
_OUTER = (0.02, 0.98)  # quantiles that a colour map spans, so that single values do not squeeze it


def coloured(values: NDArray[np.floating], low: float, high: float) -> Rgb:
    """(H, W) to RGB by the turbo map, ``low`` dark blue, ``high`` dark red."""
    unit = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    bgr = cv2.applyColorMap(np.rint(unit * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    return np.ascontiguousarray(bgr[..., ::-1])


def _spanned(values: NDArray[np.floating]) -> Rgb:
    return coloured(values, *outer(values))


def frame(inputs: SceneResults, stem: str) -> Rgb:
    return inputs.rgb(stem)


def masks(inputs: SceneResults, stem: str) -> Rgb:
    """The frame with objects tinted and outlined."""
    rgb = inputs.rgb(stem).astype(np.float32)
    mask = read_mask(inputs, stem)
    rgb[mask] = 0.5 * rgb[mask] + 0.5 * _TINT
    picture = rgb.astype(np.uint8)
    edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, edges, -1, (255, 255, 255), 1)
    return picture


def outer(values: NDArray[np.floating]) -> tuple[float, float]:
    """What a colour map of these values spans."""
    low, high = np.quantile(values, _OUTER)
    return float(low), float(high)


def _array_of(stage: str, pattern: str = "{stem}.npy") -> Picture:
    def picture(inputs: SceneResults, stem: str) -> Rgb:
        return _spanned(inputs[stage].array(pattern.format(stem=stem)))

    return picture


def structure(inputs: SceneResults, stem: str) -> Rgb:
    """Own motion in working pixels a frame, dark where static."""
    motion = Maps.of(inputs["structure"], stem).motion
    size = (inputs.frames.width, inputs.frames.height)
    return cv2.resize(coloured(motion, 0.0, 2.0), size, interpolation=cv2.INTER_NEAREST)


def prior(inputs: SceneResults, stem: str) -> Rgb:
    """Depth prior, near red like disparity."""
    return coloured(1 - inputs["prior"].array(f"{stem}_pred.npy"), 0, 1)


def start_colours(points: NDArray[np.floating], width: int, height: int) -> Rgb:
    """A colour for each start position (N, 3): hue along x, light along y."""
    if not len(points):
        return np.zeros((0, 3), np.uint8)  # OpenCV refuses pictures without pixels
    hsv = np.zeros((1, len(points), 3), np.uint8)
    hsv[0, :, 0] = np.rint(170 * points[:, 0] / max(width - 1, 1))
    hsv[0, :, 1] = 220
    hsv[0, :, 2] = np.rint(255 - 110 * points[:, 1] / max(height - 1, 1))
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0])


def thinned(inputs: SceneResults, start: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows of a track file that are drawn: a grid of about ``_TRACKS_ACROSS`` over the width.

    start: the query points (N, 4) in their own frame.
    """
    rate = int(inputs["flow"].recipe.options["rate"])
    step = max(1, -(-inputs.frames.width // rate) // _TRACKS_ACROSS)
    cells = np.rint(start[:, :2] / rate).astype(np.int64) % step
    return np.flatnonzero((cells == step // 2).all(1))


def draw_points(picture: Rgb, tracks: NDArray[np.float32], colours: Rgb, radius: int) -> None:
    """Visible points as discs, hidden ones hollow; (N, 4) tracks onto ``picture`` in place."""
    height, width = picture.shape[:2]
    for (x, y, occlusion, confidence), colour in zip(tracks, colours, strict=True):
        if not (0 <= x < width and 0 <= y < height) or (occlusion > 0.5 and confidence < 0.1):
            continue
        centre = (round(float(x)), round(float(y)))
        paint = tuple(int(c) for c in colour)
        filled = cv2.FILLED if occlusion <= 0.5 else 1
        cv2.circle(picture, centre, radius, paint, filled, cv2.LINE_AA)


def tracks(inputs: SceneResults, stem: str) -> Rgb:
    """Points of this frame and where they are a few frames on, joined by lines."""
    stems = inputs.frames.stems
    number = inputs.number(stem)
    wanted = targets_of(inputs["flow"], number, inputs.frames)
    later = [t for t in (number + _LATER, number - _LATER, wanted[-1]) if t in wanted]
    picture = (inputs.rgb(stems[later[0]]) * 0.6).astype(np.uint8)
    start = read_tracks(inputs["flow"], stem, stem)
    drawn = thinned(inputs, start)
    start, there = start[drawn], read_tracks(inputs["flow"], stem, stems[later[0]])[drawn]
    colours = start_colours(start[:, :2], inputs.frames.width, inputs.frames.height)
    for a, b, colour in zip(start, there, colours, strict=True):
        if b[OCCLUSION] <= 0.5:
            start_at, end_at = ((round(float(p[0])), round(float(p[1]))) for p in (a, b))
            paint = tuple(int(c) for c in colour)
            cv2.line(picture, start_at, end_at, paint, 1, cv2.LINE_AA)
    draw_points(picture, there, colours, radius_for(inputs))
    return picture


def radius_for(inputs: SceneResults) -> int:
    """Radius of a drawn point in pixels."""
    return max(2, inputs.frames.width // 240)


PICTURES: dict[str, tuple[str, Picture]] = {
    "images": ("Frames", frame),
    "structure": ("Own motion (dark: moves with the scene)", structure),
    "masks": ("Object masks", masks),
    "metric_depth": ("Metric disparity (red: near)", _array_of("metric_depth")),
    "depth": ("Relative disparity (red: near)", _array_of("depth")),
    "alignment": ("Aligned disparity (red: near)", _array_of("alignment")),
    "prior": ("Depth prior (red: near)", prior),
    "flow": ("Tracks, up to some frames away (hollow: hidden)", tracks),
}
