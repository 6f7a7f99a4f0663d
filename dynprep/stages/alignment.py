"""Relative disparity brought to metric disparity: fitted for a scene, then applied frame by frame."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dynprep.errors import UserError
from dynprep.stages.base import Stage, each, pixels
from dynprep.stages.inputs import Frames, Inputs
from dynprep.stages.maps import FARTHEST, from_png
from dynprep.stages.masks import read_mask
from dynprep.stages.metric_depth import valid_file
from dynprep.store import ItemWriter
from dynprep.vision.affine import Affine, huber, least_squares, median_ratio, spread_ratio

Array = NDArray[np.float64]

REPORT = "alignment.json"
_PUBLISHED_FLOOR, _PUBLISHED_QUANTILE = 1e-6, 0.01


@dataclass
class Fit:
    """One frame's line in the report. residual: median |aligned − metric| in 1/m; inliers: share
    of the fitted pixels within ``inlier_share`` of the metric disparity."""

    scale: float
    shift: float
    residual: float
    inliers: float
    pixels: int
    fallback: str = ""


def _relative(inputs: Inputs, stem: str, use_png: bool) -> Array:
    if use_png:
        return from_png(inputs["depth"].image(f"{stem}.png"))
    return inputs["depth"].array(f"{stem}.npy").astype(np.float64)


@dataclass
class AlignmentFit(Stage[Inputs, tuple[list[Fit], list[str]]]):
    """Scale and shift for every frame of a scene."""

    method: Literal["median", "lstsq", "huber"]
    per: Literal["frame", "video", "smooth"]
    use_png: bool
    static_only: bool
    fallback: Literal["spread", "previous", "keep", "fail"]
    inlier_share: float
    huber_delta: float
    huber_rounds: int
    smooth_frames: float
    video_pixels: int

    name = "alignment_fit"
    version = 2
    whole = True

    def __post_init__(self) -> None:
        if self.use_png and self.per != "frame":
            raise ValueError(
                "use_png=true goes with per=frame alone: the PNG of each frame has its own scale"
            )
        for name in ("inlier_share", "huber_delta", "smooth_frames"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")

    def options(self) -> dict[str, Any]:
        """Those that this method and scope look at: the others change no bytes, so no key."""
        values = super().options()
        unread = {
            "huber": {"huber_delta", "huber_rounds"} if self.method != "huber" else set(),
            "smooth": {"smooth_frames"} if self.per != "smooth" else set(),
            "video": {"video_pixels"} if self.per != "video" else set(),
        }
        return {k: v for k, v in values.items() if not any(k in names for names in unread.values())}

    def needs(self) -> tuple[str, ...]:
        return ("images", "metric_depth", "depth", *(("masks",) if self.static_only else ()))

    def load(self, inputs: Inputs, item: str) -> Inputs:
        return inputs

    def compute(self, samples: Sequence[Inputs]) -> list[tuple[list[Fit], list[str]]]:
        return [self._of_scene(inputs) for inputs in samples]

    def _pixels(self, inputs: Inputs, stem: str) -> tuple[Array, Array]:
        """Relative and metric disparity (N,) of the pixels that count, float64."""
        m = _relative(inputs, stem, self.use_png)
        r = inputs["metric_depth"].array(f"{stem}.npy").astype(np.float64)
        if self.method == "median":
            return m.ravel(), r.ravel()  # as published: every pixel
        use = r > 1 / FARTHEST
        if inputs["metric_depth"].file(valid_file(stem)).is_file():
            use &= inputs["metric_depth"].image(valid_file(stem)) > 0
        if self.static_only:
            still = use & ~read_mask(inputs, stem)
            use = still if still.any() else use
        return m[use], r[use]

    def _solve(self, m: Array, r: Array) -> Affine:
        if len(m) == 0:
            return Affine(0.0, 0.0)
        if self.method == "median":
            return median_ratio(m, r)
        if self.method == "lstsq":
            return least_squares(m, r)
        return huber(m, r, self.huber_delta, self.huber_rounds)

    def _of_scene(self, inputs: Inputs) -> tuple[list[Fit], list[str]]:
        stems = inputs.frames.stems
        if self.per == "video":
            m, r = (np.concatenate(part) for part in zip(*self._thinned(inputs), strict=True))
            line, why = self._accept(self._solve(m, r), m, r, None, "the clip")
            lines = [(line, why)] * len(stems)
        else:
            lines = []
            for stem in stems:
                m, r = self._pixels(inputs, stem)
                before = lines[-1][0] if lines else None
                lines.append(self._accept(self._solve(m, r), m, r, before, f"frame {stem}"))
        if self.per == "smooth":
            values = np.array([[line.scale, line.shift] for line, _ in lines])
            values = gaussian_filter1d(values, self.smooth_frames, axis=0, mode="nearest")
            smooth = [Affine(float(s), float(t)) for s, t in values]
            lines = [(line, why) for line, (_, why) in zip(smooth, lines, strict=True)]
        fits = [
            self._measure(inputs, stem, line, why)
            for stem, (line, why) in zip(stems, lines, strict=True)
        ]
        refused = [stem for stem, fit in zip(stems, fits, strict=True) if fit.fallback]
        notes = []
        if refused:
            notes.append(
                f"alignment refused a scale of 0 or below for {len(refused)} of {len(stems)} frames"
                f" (first {refused[0]}) and used '{self.fallback}' instead"
            )
        return fits, notes

    def _thinned(self, inputs: Inputs) -> Iterator[tuple[Array, Array]]:
        """Every frame's pixels, every k-th of them, so that a clip's fit stays small."""
        for stem in inputs.frames.stems:
            m, r = self._pixels(inputs, stem)
            step = max(1, len(m) // self.video_pixels)
            yield m[::step], r[::step]

    def _accept(
        self, line: Affine, m: Array, r: Array, before: Affine | None, where: str
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

    def _measure(self, inputs: Inputs, stem: str, line: Affine, why: str) -> Fit:
        m, r = self._pixels(inputs, stem)
        if len(m) == 0:
            return Fit(line.scale, line.shift, 0.0, 0.0, 0, why)
        off = np.abs(line.scale * m + line.shift - r)
        inliers = float((off <= self.inlier_share * r).mean())
        return Fit(line.scale, line.shift, float(np.median(off)), inliers, len(m), why)

    def write(
        self, writer: ItemWriter, inputs: Inputs, item: str, output: tuple[list[Fit], list[str]]
    ) -> None:
        fits, notes = output
        frames = dict(zip(inputs.frames.stems, [asdict(fit) for fit in fits], strict=True))
        writer.json(REPORT, {"method": self.method, "per": self.per, "frames": frames})
        for note in notes:
            writer.note(note)

    def disk_bytes(self, frames: Frames) -> int:
        return 300 * len(frames)


@dataclass
class Alignment(Stage[tuple[Array, Affine], NDArray[np.float32]]):
    """Applies the fits; what falls below the floor is 0 (invalid) or lifted to the floor."""

    use_png: bool
    floor: float | None
    below_floor: Literal["zero", "clamp"]

    name = "alignment"
    version = 1

    def __post_init__(self) -> None:
        if self.floor is not None and self.floor < 0:
            raise ValueError(f"floor is {self.floor}; it must be 0 or more, in 1/m")

    def needs(self) -> tuple[str, ...]:
        return ("images", "depth", "alignment_fit")

    def load(self, inputs: Inputs, item: str) -> tuple[Array, Affine]:
        fit: dict[str, Any] = inputs["alignment_fit"].json(REPORT)["frames"][item]
        return _relative(inputs, item, self.use_png), Affine(fit["scale"], fit["shift"])

    def compute(self, samples: Sequence[tuple[Array, Affine]]) -> list[NDArray[np.float32]]:
        return each(self._apply, samples)

    def _apply(self, sample: tuple[Array, Affine]) -> NDArray[np.float32]:
        m, line = sample
        a = line.scale * m + line.shift
        floor = self.floor
        if floor is None:
            floor = min(_PUBLISHED_FLOOR, float(np.quantile(a, _PUBLISHED_QUANTILE)))
        low = max(floor, 0.0) if self.below_floor == "clamp" else 0.0
        # a floor below 0 (the published rule allows it) must not let negative disparity through
        return np.where(a < floor, low, np.maximum(a, 0.0)).astype(np.float32)

    def write(
        self, writer: ItemWriter, inputs: Inputs, item: str, output: NDArray[np.float32]
    ) -> None:
        writer.array(f"{item}.npy", output)

    def disk_bytes(self, frames: Frames) -> int:
        return 4 * pixels(frames)
