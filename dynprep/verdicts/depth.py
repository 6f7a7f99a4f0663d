"""Checks of disparity maps and of their alignment.

Shapes: (H, W) pixels, (h, w) of a smaller map, N points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from dynprep.arrays import AnyArray, Float32Array
from dynprep.artefacts.alignment import AlignedDisparity, AlignmentFits, is_one_source
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.depth_map import DepthMap
from dynprep.artefacts.images import Images
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.relative_disparity import RelativeDisparity
from dynprep.artefacts.tracks import PairTracks
from dynprep.verdicts.check import Check, Measures, frame_findings
from dynprep.verdicts.finding import Finding
from dynprep.verdicts.options import VerdictBounds
from dynprep.vision.sampling import inside, sample

_RANGE = (0.02, 0.98)  # quantiles between which a map's range is measured
_SMALL = 320  # pixels, at which edges are looked for
_STICKS_OUT = (
    0.1  # share of the map's range by which a speckle differs from the median of its surroundings
)
_FAR = 0.1  # of the median disparity, added to both sides of a ratio
_WANDERS = 0.25  # octaves by which a point changes otherwise than the frame as a whole
_POINTS = 2000  # of a frame, that are compared with another map
_FEWEST = 50  # points that a correlation needs
_STRONG = 0.98  # quantile of gradients from which on there is an edge
_NEAR = 3  # pixels between an edge of the map and one of the image
_ADVICE = "look at the frame on the report page; try another backend, or leave the frames out"


def _measure(artefact: type[Artefact], scene: SceneResults) -> Measures:
    assert issubclass(artefact, DepthMap)
    maps, stems = scene[artefact], scene.frames.stems
    names = ["spread", "speckle", "follows", "level", "wanders", "downwards", "on_edges"]
    measures: Measures = {name: [] for name in names}
    metric = (
        scene[MetricDisparity]
        if artefact is RelativeDisparity and MetricDisparity in scene
        else None
    )
    if metric is not None:
        measures["agrees"] = []
    before: Float32Array | None = None
    for k, stem in enumerate(stems):
        values = maps.of(stem)
        low, high = (float(v) for v in np.quantile(values, _RANGE))
        span, middle = high - low, float(np.median(np.abs(values)))
        measures["spread"].append(span / middle if middle > 0 else span)
        measures["speckle"].append(_speckle(values, span))
        seen = _Change() if before is None else _change(scene, k, before, values)
        measures["follows"].append(seen.follows)
        measures["level"].append(seen.level)
        measures["wanders"].append(seen.wanders)
        step = max(1, round((values.size / _POINTS) ** 0.5))
        thin = values[::step, ::step]
        measures["downwards"].append(
            _rank_correlation(thin.ravel(), np.indices(thin.shape)[0].ravel())
        )
        measures["on_edges"].append(_on_edges(values, span, scene[Images].rgb(stem)))
        if metric is not None:
            other = metric.of(stem)[::step, ::step]
            measures["agrees"].append(_rank_correlation(thin.ravel(), other.ravel()))
        before = values
    return measures


def _speckle(values: Float32Array, span: float) -> float:
    """Share of pixels that stick out of the median of their surroundings."""
    if span <= 0:
        return 0.0
    return float((np.abs(values - cv2.medianBlur(values, 3)) > _STICKS_OUT * span).mean())


def _on_edges(values: Float32Array, span: float, rgb: AnyArray) -> float | None:
    """Share of a map's strongest edges that lie near an edge of the image; None for a map without any."""
    height, width = values.shape
    scale = min(1.0, _SMALL / max(height, width))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    slopes = [_slope(small), _slope(grey.astype(np.float32))]
    if span <= 0 or slopes[1].max() <= 0:
        return None
    edges = [
        slope >= max(float(np.quantile(slope, q)), 1e-9)
        for slope, q in zip(slopes, (_STRONG, 0.9), strict=True)
    ]
    near = cv2.dilate(edges[1].astype(np.uint8), np.ones((2 * _NEAR + 1,) * 2)) > 0
    return float(near[edges[0]].mean()) if edges[0].any() else None


def _slope(values: Float32Array) -> Float32Array:
    x, y = (cv2.Sobel(values, cv2.CV_32F, dx, dy) for dx, dy in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(x, y), np.float32)


@dataclass(frozen=True)
class _Change:
    """How a map differs from the one before, along tracks.

    follows: rank correlation; level: median change in octaves; wanders: share of points that change otherwise than
    that. Each None where it cannot be said.
    """

    follows: float | None = None
    level: float | None = None
    wanders: float | None = None


def _change(scene: SceneResults, number: int, before: Float32Array, now: Float32Array) -> _Change:
    """How the map of frame ``number`` differs from the one before."""
    points, moved = _corresponding(scene, number)
    a, b = sample(before, points), sample(now, moved)
    follows = _rank_correlation(a, b)
    both = (a > 0) & (b > 0)
    if both.sum() < _FEWEST:
        return _Change(follows)
    a, b = a[both], b[both]
    # far away a small error is many octaves, and matters little
    floor = _FAR * float(np.median(a))
    octaves = np.log2((b + floor) / (a + floor))
    wanders = float((np.abs(octaves - np.median(octaves)) > _WANDERS).mean())
    return _Change(follows, float(np.median(np.log2(b / a))), wanders)


def _corresponding(scene: SceneResults, number: int) -> tuple[Float32Array, Float32Array]:
    """Points (N, 2) of the frame before and where they are in this one: by tracks, else the same pixels."""
    frames = scene.frames
    if PairTracks in scene:
        tracks = scene[PairTracks]
        if (
            tracks.is_readable
            and number - 1 in tracks.queries
            and number in tracks.targets(number - 1)
        ):
            points, moved = tracks.query_pixels(number - 1), tracks.between(number - 1, number)
            seen = tracks.visible(moved) & inside(moved[:, :2], frames.height, frames.width)
            if seen.sum() >= _FEWEST:
                every = max(1, int(seen.sum()) // _POINTS)
                return points[seen][::every], moved[seen, :2][::every]
    step = max(1, round((frames.height * frames.width / _POINTS) ** 0.5))
    y, x = np.mgrid[0 : frames.height : step, 0 : frames.width : step]
    grid = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    return grid, grid


def _rank_correlation(a: AnyArray, b: AnyArray) -> float | None:
    """Spearman's; None where one of them is constant or too few are known."""
    if len(a) < _FEWEST or np.ptp(a) <= 0 or np.ptp(b) <= 0:
        return None
    from scipy.stats import spearmanr  # imports for most of a second

    return float(spearmanr(a, b).statistic)


def _turned_over(follows: Sequence[float | None], bound: float) -> list[float | None]:
    """The lowest correlation at frames on the smaller side of flips, None elsewhere: a flip parts a clip in two."""
    sign, signs = 1, []
    for value in follows:
        sign = -sign if value is not None and value < min(bound, 0.0) else sign
        signs.append(sign)
    negative = [value for value in follows if value is not None and value < min(bound, 0.0)]
    if not negative:
        return [None] * len(follows)
    fewer = -1 if signs.count(-1) <= signs.count(1) else 1
    return [min(negative) if side == fewer else None for side in signs]


def _leans_back(downwards: Sequence[float | None], bound: float) -> list[float | None]:
    """The correlation at frames that lean the other way than the clip does, both clearly; None elsewhere."""
    known = [v for v in downwards if v is not None]
    usual = float(np.median(known)) if known else 0.0
    return [
        v if v is not None and v * usual < 0 and min(abs(v), abs(usual)) > bound else None
        for v in downwards
    ]


def _judge(stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]) -> list[Finding]:
    findings: list[Finding] = []

    def add(
        name: str,
        is_bad: "object",
        bound: float | None,
        check: str,
        what: str,
        advice: str = _ADVICE,
    ) -> None:
        if bound is not None and name in m:
            words = {"check": check, "what": what, "advice": advice}
            findings.extend(frame_findings(stage, m[name], stems, is_bad, words, bound))  # type: ignore[arg-type]

    add(
        "spread", lambda v: v < bounds.constant, bounds.constant, "constant", "is constant",
        "nothing told depth there: take it from a network or a sensor",
    )  # fmt: skip
    add("speckle", lambda v: v > bounds.speckle, bounds.speckle, "speckle", "is speckled")
    flips: dict[str | None, Finding] = {}
    words = {"check": "flip", "what": "is turned over", "advice": _ADVICE}
    for name, turn, limit in (
        ("follows", _turned_over, bounds.follows),
        ("downwards", _leans_back, bounds.leans),
    ):
        if limit is not None:
            values = turn(m[name], limit)
            new = frame_findings(stage, values, stems, lambda v: True, words, limit)
            flips |= {f.frame: f for f in new if f.frame not in flips}
    findings += sorted(flips.values(), key=lambda f: f.frame or "")
    if bounds.follows is not None:
        turned = flips.keys()
        words = {"check": "follows", "what": "does not follow the frame before", "advice": _ADVICE}
        limit = bounds.follows
        weak = [None if s in turned else v for s, v in zip(stems, m["follows"], strict=True)]
        findings += frame_findings(stage, weak, stems, lambda v: v < limit, words, limit)
    if stage != RelativeDisparity.name:  # whose scale is each frame's own
        add("level", lambda v: abs(v) > bounds.level, bounds.level, "level", "jumps in scale")
        add(
            "wanders",
            lambda v: v > bounds.wanders,
            bounds.wanders,
            "wanders",
            "changes where nothing moves so",
        )
    if bounds.upside_down is not None:
        findings += _upside_down(stage, m["downwards"], bounds.upside_down)
    edges = [v for v in m["on_edges"] if v is not None]
    if bounds.on_edges is not None and edges and float(np.median(edges)) < bounds.on_edges:
        value = float(np.median(edges))
        what = "edges do not lie on the image's"
        findings.append(Finding(stage, "edges", what, _ADVICE, None, value, bounds.on_edges))
    add(
        "agrees",
        lambda v: v < bounds.agrees,
        bounds.agrees,
        "agrees",
        "contradicts the metric disparity",
    )
    return findings


def _upside_down(stage: str, downwards: Sequence[float | None], bound: float) -> list[Finding]:
    """A finding where most frames are nearer towards their top: seldom so of a scene that stands on a ground."""
    known = [v for v in downwards if v is not None]
    value = float(np.median(known)) if known else 1.0
    if value >= bound:
        return []
    advice = "look at the frames on the report page; take depth from a network or a sensor"
    what = "is nearer towards the top, it may be inside out"
    return [Finding(stage, "upside_down", what, advice, None, value, bound)]


def _measure_fits(artefact: type[Artefact], scene: SceneResults) -> Measures:
    fits = list(scene[AlignmentFits].fits.values())
    return {
        "inliers": [fit.inliers for fit in fits],
        "scale": [fit.scale for fit in fits],
        "one_source": [float(is_one_source(scene))],
    }


def _judge_fits(
    stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]
) -> list[Finding]:
    findings: list[Finding] = []
    advice = (
        "look at the alignment's curves; try alignment=huber or sequence, or another metric_depth"
    )
    if bounds.inliers is not None:
        limit = bounds.inliers
        words = {"check": "inliers", "what": "has few inliers", "advice": advice}
        findings += frame_findings(stage, m["inliers"], stems, lambda v: v < limit, words, limit)
    if bounds.scale_leap is not None:
        scale = m["scale"]
        leaps: list[float | None] = [None]
        for a, b in zip(scale, scale[1:], strict=False):
            leaps.append(abs(float(np.log2(b / a))) if a and b and a > 0 and b > 0 else None)
        limit_leap = bounds.scale_leap
        words = {"check": "leap", "what": "has a leap in scale", "advice": advice}
        findings += frame_findings(stage, leaps, stems, lambda v: v > limit_leap, words, limit_leap)
    if m["one_source"] == [1.0]:
        what = "metric and relative disparity are from one source, so that they agree says nothing"
        findings.append(
            Finding(stage, "one_source", what, "choose a network or a sensor for one of them")
        )
    return findings


def _measure_aligned(artefact: type[Artefact], scene: SceneResults) -> Measures:
    invalid = [float((scene[AlignedDisparity].of(stem) <= 0).mean()) for stem in scene.frames.stems]
    return {"invalid": list(invalid)}


def _judge_aligned(
    stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]
) -> list[Finding]:
    if bounds.invalid is None:
        return []
    limit = bounds.invalid
    words = {
        "check": "invalid", "what": "is invalid in many pixels",
        "advice": "alignment.below_floor=clamp fills them; a trainer takes 0 for a depth of 1e6",
    }  # fmt: skip
    return frame_findings(stage, m["invalid"], stems, lambda v: v > limit, words, limit)


_of_map = partial(Check, kinds=8, measure=_measure, judge=_judge, version=2)
CHECKS = (
    _of_map("depth", MetricDisparity, uses=(PairTracks,)),
    _of_map("depth", RelativeDisparity, uses=(PairTracks, MetricDisparity)),
    _of_map("depth", AlignedDisparity, uses=(PairTracks,)),
    Check(
        "fits",
        AlignmentFits,
        3,
        _measure_fits,
        _judge_fits,
        uses=(MetricDisparity, RelativeDisparity),
    ),
    Check("holes", AlignedDisparity, 1, _measure_aligned, _judge_aligned),
)
