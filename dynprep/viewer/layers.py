"""Frames of an artefact as a page carries them: small, in a form whose values the page can still read.

Shapes: (H, W) pixels of ``images/``, (h, w) those of the page's pictures.
"""

import base64
import io
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image

from dynprep.arrays import AnyArray, Float32Array, FloatArray, UInt8Array
from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.depth_map import DepthMap
from dynprep.artefacts.display import Display
from dynprep.artefacts.images import Images
from dynprep.cores import cores
from dynprep.store import ItemWriter, Recipe, Result, Store

Encode = Callable[[AnyArray, tuple[int, int]], bytes]  # of a frame, at a width and height

NOTHING = 0  # level of a pixel without a value; the others are 1 to 255
_LEVELS = 254  # steps between the lowest and the highest level
_CARRIED = (0.001, 0.999)  # quantiles that levels span: what is beyond is shown at the ends
_COLOURED = (0.02, 0.98)  # quantiles that colours span, so that single values do not squeeze them
_SAMPLED = 20_000  # pixels of a frame that quantiles are taken of
_QUALITY, _EFFORT = 75, 2  # of WebP pictures, 0 to 100 and 0 to 6
_PACKED = 6  # effort of PNG's compression, 0 to 9
_META = "layer.json"
_VERSION = 1  # raised when the same results are drawn in another way


def layer(
    scene: SceneResults, artefact: type[Artefact], stems: Sequence[str], store: Store, width: int
) -> dict[str, Any] | None:
    """An artefact's frames as the player takes them, each computed once for all pages that show them.

    stems: of the frames that the page shows; width: of its pictures, in pixels, at most. Returns None for an artefact
    that cannot be shown. ``kind`` is a ``Display``; ``frames`` are data: addresses, None for frames without one;
    ``levels`` the values of the lowest and highest level, ``span`` those between which colours lie.
    """
    shown = set(scene[artefact].displayable_stems()) if artefact.picture is not None else set()
    wanted = [stem for stem in stems if stem in shown]
    if not wanted:
        return None
    recipe = Recipe(
        "media",
        f"layer of {artefact.name}",
        kind_version=_VERSION,
        options={"frames": wanted, "width": width},
        inputs={a.name: scene.key(a) for a in (artefact, Images)},
    )
    result = store.cached(recipe, partial(_draw, scene, artefact, wanted, width))
    meta = dict(result.json(_META))
    meta["unit"] = scene[artefact].displayed_unit(scene)
    meta["frames"] = [
        _address(result, stem, meta["suffix"]) if stem in shown else None for stem in stems
    ]
    return meta


def _address(result: Result, stem: str, suffix: str) -> str:
    content = result.file(f"{stem}.{suffix}").read_bytes()
    return f"data:image/{suffix};base64,{base64.b64encode(content).decode()}"


def _draw(
    scene: SceneResults,
    artefact: type[Artefact],
    stems: Sequence[str],
    width: int,
    writer: ItemWriter,
) -> None:
    reader = scene[artefact]
    size = _size(scene, width)
    meta: dict[str, Any] = {"kind": artefact.display.value}
    encode: Encode
    if artefact.display is not Display.VALUES:
        encode = _ENCODERS[artefact.display]
    else:
        levels, span = _ranges(reader.displayed(scene, stem) for stem in stems)
        if (
            reader.least_span is not None
        ):  # so that nothing but noise is not painted as if it were much
            span = [reader.least_span[0], max(span[1], reader.least_span[1])]
            levels = [min(levels[0], span[0]), max(levels[1], span[1])]
        flipped = isinstance(reader, DepthMap) and not reader.near_is_large
        meta |= {"levels": levels, "span": span, "flipped": flipped}
        encode = partial(_values_png, levels=levels)
    if artefact.display is Display.LABELS:
        labels = sorted(
            {int(n) for stem in stems for n in np.unique(reader.displayed(scene, stem))} - {NOTHING}
        )
        meta["labels"] = {str(label): reader.label_colour(label) for label in labels}
    meta["suffix"] = "webp" if artefact.display is Display.PICTURE else "png"
    with ThreadPoolExecutor(cores()) as pool:
        drawn = pool.map(lambda stem: encode(reader.displayed(scene, stem), size), stems)
        for stem, content in zip(stems, drawn, strict=True):
            writer.data(f"{stem}.{meta['suffix']}", content)
    writer.json(_META, meta)


def _size(scene: SceneResults, width: int) -> tuple[int, int]:
    """Width and height of a page's pictures."""
    frames = scene.frames
    width = min(width, frames.width)
    return width, max(1, round(frames.height * width / frames.width))


def _ranges(maps: Any) -> tuple[list[float], list[float]]:
    """Values of the lowest and highest level, and those between which colours lie, over all maps."""
    samples = []
    for values in maps:
        thin = values.ravel()[:: max(1, values.size // _SAMPLED)]
        samples.append(thin[np.isfinite(thin)])
    every = np.concatenate(samples)
    if not every.size:
        return [0.0, 1.0], [0.0, 1.0]
    levels, span = np.quantile(every, _CARRIED), np.quantile(every, _COLOURED)
    return _rounded(levels), _rounded(span)


def _rounded(ends: FloatArray) -> list[float]:
    """Two ends that differ, to a thousandth of what lies between them."""
    low, high = (float(end) for end in ends)
    if high <= low:
        return [low, low + max(abs(low) * 1e-3, 1e-6)]
    digits = 3 - math.floor(math.log10(high - low))
    return [round(low, digits), round(high, digits)]


def _values_png(values: Float32Array, size: tuple[int, int], levels: Sequence[float]) -> bytes:
    """Values (h, w) as a grey PNG of levels; the nearest pixel of each, so that what is read out was there."""
    small = cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)
    known = np.isfinite(small)
    unit = np.clip((np.where(known, small, 0) - levels[0]) / (levels[1] - levels[0]), 0, 1)
    return _png(np.where(known, np.rint(1 + _LEVELS * unit), NOTHING).astype(np.uint8))


def _nearest_png(values: UInt8Array, size: tuple[int, int]) -> bytes:
    """Labels (h, w) or colours (h, w, 3) that are read out: none is mixed from others."""
    return _png(np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_NEAREST), np.uint8))


def _png(values: UInt8Array) -> bytes:
    bgr = values[..., ::-1] if values.ndim == 3 else values
    _, content = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, _PACKED])
    return content.tobytes()


def _webp(picture: AnyArray, size: tuple[int, int]) -> bytes:
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(small, np.uint8)).save(
        buffer, "WEBP", quality=_QUALITY, method=_EFFORT
    )
    return buffer.getvalue()


_ENCODERS: dict[Display, Encode] = {
    Display.PICTURE: _webp,
    Display.DIRECTIONS: _nearest_png,
    Display.LABELS: _nearest_png,
}
