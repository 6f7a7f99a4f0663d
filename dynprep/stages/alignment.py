"""Relative disparity brought to metric disparity: fitted for a scene, then applied frame by frame.

Shapes: (H, W) pixels of ``images/``, N pixels that are fitted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d

from dynprep.arrays import BoolArray, Float32Array, Float64Array
from dynprep.artefacts.alignment import AlignedDisparity, AlignmentFits, Fit
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import FARTHEST
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.relative_disparity import RelativeDisparity
from dynprep.errors import UserError
from dynprep.options import AtLeastOne, NotNegative, NotNegativeFloat, Positive
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage, SceneStage, Stage, parallel
from dynprep.stages.sky import sky_of
from dynprep.store import ItemWriter
from dynprep.vision.affine import Affine, huber, least_squares, median_ratio, spread_ratio

_PUBLISHED_FLOOR, _PUBLISHED_QUANTILE = 1e-6, 0.01


def _with(skies: Sequence[type[Artefact]], *read: type[Artefact]) -> tuple[type[Artefact], ...]:
    """What is read, and what says where there is sky."""
    return (*read, *(kind for kind in skies if kind not in read))


def _relative(scene: Scene, stem: str, use_png: bool) -> Float64Array:
    """The relative disparity (H, W) that is fitted, float64."""
    relative = scene[RelativeDisparity]
    return relative.unit_disparity(stem) if use_png else relative.of(stem).astype(np.float64)


def _between(lines: Sequence[tuple[float, float]], fitted: Sequence[bool]) -> Float64Array:
    """Scales and shifts (T, 2), those of frames without a pixel to fit taken from the frames around them."""
    values, known = np.array(lines, np.float64), np.flatnonzero(fitted)
    if 0 < len(known) < len(values):
        times = np.arange(len(values))
        values = np.stack([np.interp(times, known, values[known, k]) for k in range(2)], 1)
    return values


@dataclass(kw_only=True)
class FitOptions(Stage):
    """The options that decide scale and shift; the classes below share them."""

    method: Literal["median", "lstsq", "huber"]
    per: Literal["frame", "video", "smooth"]
    use_png: bool
    static_only: bool
    fallback: Literal["spread", "previous", "keep", "fail"]
    inlier_share: Positive
    huber_delta: Positive
    huber_rounds: NotNegative
    smooth_frames: Positive
    video_pixels: AtLeastOne

    def __post_init__(self) -> None:
        if self.use_png and self.per != "frame":
            raise ValueError(
                "use_png=true goes with per=frame alone: the PNG of each frame has its own scale"
            )

    def ignored(self) -> dict[str, str]:
        conditions = {
            "huber_delta": (self.method == "huber", "method is not huber"),
            "huber_rounds": (self.method == "huber", "method is not huber"),
            "smooth_frames": (self.per == "smooth", "per is not smooth"),
            "video_pixels": (self.per == "video", "per is not video"),
            "static_only": (self.method != "median", "the published median takes every pixel"),
        }
        return {name: reason for name, (acts, reason) in conditions.items() if not acts}


@dataclass
class AlignmentFitting(FitOptions, SceneStage):
    """Scale and shift for every frame of a scene."""

    makes = AlignmentFits
    kind_version = 3
    backend_id = "affine"
    is_helper = True

    def reads(self) -> tuple[type[Artefact], ...]:
        masks = (ObjectMasks,) if self._masks_matter else ()
        return _with(self.context.skies, Images, MetricDisparity, RelativeDisparity, *masks)

    @property
    def _masks_matter(self) -> bool:
        return self.static_only and self.method != "median"

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        stems = scene.frames.stems
        lines = self._lines(scene)
        fits = [
            self._measure(scene, stem, line, fallback)
            for stem, (line, fallback) in zip(stems, lines, strict=True)
        ]
        AlignmentFits.write(writer, self.method, self.per, stems, fits)
        refused = [stem for stem, fit in zip(stems, fits, strict=True) if fit.fallback]
        if refused:
            writer.note(
                f"alignment refused a scale of 0 or below for {len(refused)} of {len(stems)} frames"
                f" (first {refused[0]}) and used '{self.fallback}' instead"
            )

    def _pixels(self, scene: Scene, stem: str) -> tuple[Float64Array, Float64Array]:
        """Relative and metric disparity (N,) of the pixels that count, float64."""
        m = _relative(scene, stem, self.use_png)
        metric = scene[MetricDisparity]
        r = metric.of(stem).astype(np.float64)
        sky = sky_of(self.context.skies, scene, stem)
        if (
            self.method == "median"
        ):  # as published every pixel, but none of the sky that a backend sees
            return (m.ravel(), r.ravel()) if sky is None else (m[~sky], r[~sky])
        use = r > 1 / FARTHEST
        measured = metric.measured(stem)
        if measured is not None:
            use &= measured
        if sky is not None:
            use &= ~sky
        if self.static_only:
            still = use & ~scene[ObjectMasks].of(stem)
            use = still if still.any() else use
        return m[use], r[use]

    def _solve(self, m: Float64Array, r: Float64Array) -> Affine:
        if len(m) == 0:
            return Affine(0.0, 0.0)
        if self.method == "median":
            return median_ratio(m, r)
        if self.method == "lstsq":
            return least_squares(m, r)
        return huber(m, r, self.huber_delta, self.huber_rounds)

    def _lines(self, scene: Scene) -> list[tuple[Affine, str]]:
        """Scale and shift of every frame, and what stood in for a refused one."""
        stems = scene.frames.stems
        if self.per == "video":
            m, r = (np.concatenate(part) for part in zip(*self._thinned(scene), strict=True))
            return [self._accept(self._solve(m, r), m, r, None, "the clip")] * len(stems)
        lines: list[tuple[Affine, str]] = []
        fitted = []
        for stem in stems:
            m, r = self._pixels(scene, stem)
            fitted.append(len(m) > 0)
            before = lines[-1][0] if lines else None
            lines.append(self._accept(self._solve(m, r), m, r, before, f"frame {stem}"))
        if self.per == "smooth":
            values = _between([(line.scale, line.shift) for line, _ in lines], fitted)
            values = gaussian_filter1d(values, self.smooth_frames, axis=0, mode="nearest")
            smooth = [Affine(float(s), float(t)) for s, t in values]
            return [(line, why) for line, (_, why) in zip(smooth, lines, strict=True)]
        return lines

    def _thinned(self, scene: Scene) -> Iterator[tuple[Float64Array, Float64Array]]:
        """Every frame's pixels, every k-th of them, so that a clip's fit stays small."""
        for stem in scene.frames.stems:
            m, r = self._pixels(scene, stem)
            step = max(1, len(m) // self.video_pixels)
            yield m[::step], r[::step]

    def _accept(
        self, line: Affine, m: Float64Array, r: Float64Array, before: Affine | None, where: str
    ) -> tuple[Affine, str]:
        """The line, or what stands in for one whose scale is not above 0, and what did."""
        if line.scale > 0 or self.fallback == "keep" or len(m) == 0:
            return line, ""
        if self.fallback == "fail":
            raise UserError(
                f"alignment={self.method}: the scale of {where} is {line.scale:.3g}, so near would "
                "become far; choose alignment=huber or another alignment.fallback"
            )
        if self.fallback == "previous" and before is not None:
            return before, "previous"
        return spread_ratio(m, r), "spread"

    def _measure(self, scene: Scene, stem: str, line: Affine, fallback: str) -> Fit:
        m, r = self._pixels(scene, stem)
        if len(m) == 0:
            return Fit(line.scale, line.shift, 0.0, 0.0, 0, fallback)
        off = np.abs(line.scale * m + line.shift - r)
        inliers = float((off <= self.inlier_share * r).mean())
        return Fit(line.scale, line.shift, float(np.median(off)), inliers, len(m), fallback)

    def disk_bytes(self, frames: Frames) -> int:
        return 300 * len(frames)


@dataclass(frozen=True)
class RelativeSample:
    """Relative disparity (H, W), the line that aligns it, and where there is sky (H, W), None where nothing says."""

    disparity: Float64Array
    line: Affine
    sky: BoolArray | None


@dataclass
class Alignment(FitOptions, FrameStage[RelativeSample, Float32Array]):
    """Applies the fits; what falls below the floor, and sky, is 0 (invalid) or lifted to the floor."""

    floor: NotNegativeFloat | None
    below_floor: Literal["zero", "clamp"]
    published: bool

    makes = AlignedDisparity
    kind_version = 1
    backend_id = "affine"

    def helpers(self) -> list[Stage]:
        return [self.derive(AlignmentFitting)]

    def reads(self) -> tuple[type[Artefact], ...]:
        return _with(self.context.skies, Images, RelativeDisparity, AlignmentFits)

    def key_options(self) -> dict[str, Any]:
        # the fits' options are in the fits' key, which is one of the inputs
        options = {"use_png": self.use_png, "floor": self.floor, "below_floor": self.below_floor}
        # results from before there was this option keep their keys
        return {**options, "published": True} if self.published else options

    def load(self, scene: Scene, item: str) -> RelativeSample:
        line, sky = scene[AlignmentFits].of(item), sky_of(self.context.skies, scene, item)
        return RelativeSample(_relative(scene, item, self.use_png), line, sky)

    def compute(self, samples: Sequence[RelativeSample]) -> list[Float32Array]:
        return parallel(self._apply, samples)

    def _apply(self, sample: RelativeSample) -> Float32Array:
        a = sample.line.scale * sample.disparity + sample.line.shift
        floor = self.floor
        if floor is None:
            floor = min(_PUBLISHED_FLOOR, float(np.quantile(a, _PUBLISHED_QUANTILE)))
        low = max(floor, 0.0) if self.below_floor == "clamp" else 0.0
        is_low = a < floor if sample.sky is None else (a < floor) | sample.sky
        # a floor below 0 (the published rule allows it) must not let negative disparity through
        rest = a if self.published else np.maximum(a, 0.0)
        return np.where(is_low, low, rest).astype(np.float32)

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: Float32Array) -> None:
        AlignedDisparity.write_map(writer, scene.frames, item, output)

    def disk_bytes(self, frames: Frames) -> int:
        return 4 * frames.pixels
