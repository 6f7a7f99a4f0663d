"""Relative disparity brought to metric disparity, and the fits that brought it there.

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Agreement, Artefact, SceneResults, Scorer, Scores, check_values
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.depth_map import DepthMap, against_depth, edges, steadiness, typical_ratio
from dynprep.artefacts.display import Curve
from dynprep.artefacts.files import Place
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.relative_disparity import RelativeDisparity
from dynprep.artefacts.temporal import drift, temporal_alignment
from dynprep.artefacts.tracks import PairTracks
from dynprep.store import ItemWriter
from dynprep.vision.affine import Affine

_REPORT = "alignment.json"
_REFUSED = "scale refused"


@dataclass(frozen=True)
class Fit:
    """How one frame was aligned.

    scale, shift: aligned = scale · relative + shift, in 1/m; residual: median |aligned − metric| in 1/m; inliers:
    share of the fitted pixels whose aligned disparity is within ``alignment.inlier_share`` of the metric one;
    pixels: how many were fitted; fallback: what stood in for a scale that was refused, empty if none was.
    """

    scale: float
    shift: float
    residual: float
    inliers: float
    pixels: int
    fallback: str = ""


_ONE_SOURCE = "parallax"  # the backend that gives the same map as relative and as metric disparity


def is_one_source(scene: SceneResults) -> bool:
    """Whether relative and metric disparity are the same measurement, so that aligning them proves nothing."""
    pair = (MetricDisparity.name, RelativeDisparity.name)
    made_by = {scene.results[name].recipe.backend for name in pair if name in scene.results}
    return made_by == {_ONE_SOURCE}


def _restlessness(artefact: type[Artefact], scene: SceneResults) -> Scores:
    """Residual in 1/m and inliers (share), means over frames; mean change of scale and shift between frames.

    The scale's change is in shares of the median scale, the shift's in 1/m. None where both maps are of one source:
    their scores are perfect and say nothing.
    """
    if is_one_source(scene):
        return {}
    fits = list(scene[AlignmentFits].fits.values())
    scale, shift = np.array([f.scale for f in fits]), np.array([f.shift for f in fits])
    middle = abs(float(np.median(scale)))
    several = len(fits) > 1
    scale_change = np.abs(np.diff(scale)).mean() / middle if several and middle else np.nan
    return {
        "alignment/residual": float(np.mean([f.residual for f in fits])),
        "alignment/inliers": float(np.mean([f.inliers for f in fits])),
        "alignment/scale_change": float(scale_change),
        "alignment/shift_change": float(np.abs(np.diff(shift)).mean()) if several else np.nan,
    }


def _unit(scene: SceneResults) -> str:
    """The unit of aligned disparity: that of the metric one, as far as it is still there."""
    known = MetricDisparity in scene
    return scene[MetricDisparity].displayed_unit(scene) if known else MetricDisparity.unit


class AlignmentFits(Artefact):
    """``alignment.json``: method, scope, and each frame's scale, shift, residual and inliers."""

    name = "alignment_fits"
    title = "Alignment over time"
    what = "scale and shift of every frame"
    unit = ""
    places = (Place(None, _REPORT, is_folder=False),)
    picture = None
    scorers = (
        Scorer("alignment_fits", _restlessness, (MetricDisparity, RelativeDisparity), version=2),
    )
    agreement = None

    @cached_property
    def report(self) -> Mapping[str, Any]:
        """The file's content: ``method``, ``per`` and, by stem, ``frames``."""
        report: Mapping[str, Any] = self.files.json(_REPORT)
        return report

    @cached_property
    def fits(self) -> dict[str, Fit]:
        """Fits by stem."""
        return {stem: Fit(**fit) for stem, fit in self.report["frames"].items()}

    def of(self, stem: str) -> Affine:
        """Scale and shift of a frame."""
        fit = self.fits[stem]
        return Affine(fit.scale, fit.shift)

    @staticmethod
    def write(
        writer: ItemWriter, method: str, per: str, stems: Sequence[str], fits: Sequence[Fit]
    ) -> None:
        """Store the fits of a clip. Raises UserError for the first frame whose fit is not finite."""
        for stem, fit in zip(stems, fits, strict=True):
            values = np.array([fit.scale, fit.shift, fit.residual, fit.inliers])
            check_values(values, f"{AlignmentFits.name} of frame {stem}", (4,))
        frames = {stem: asdict(fit) for stem, fit in zip(stems, fits, strict=True)}
        writer.json(_REPORT, {"method": method, "per": per, "frames": frames})

    def linked(self) -> dict[Place, list[str]]:
        return {self.places[0]: [_REPORT]}

    def curves(self, scene: SceneResults) -> list[Curve]:
        """Scale, shift, inliers and residual; none where both maps are of one source, and say nothing."""
        if is_one_source(scene):
            return []
        fits = list(self.fits.values())
        refused = [k for k, fit in enumerate(fits) if fit.fallback]
        unit = _unit(scene)
        return [
            Curve(
                f"Alignment: {title}",
                of,
                {title: [getattr(fit, name) for fit in fits]},
                refused,
                _REFUSED,
                share,
            )
            for name, title, of, share in (
                ("scale", "scale", "", False),
                ("shift", "shift", unit, False),
                ("inliers", "inliers", "share", True),
                ("residual", "residual", unit, False),
            )
        ]


class AlignedDisparity(DepthMap):
    """``{stem}.npy`` disparity (H, W) in 1/m; 0 is invalid."""

    name = "alignment"
    title = "Aligned disparity (red: near)"
    what = "relative disparity brought to metric disparity"
    unit = "1/m"
    places = (Place("aligned_disparity", "aligned_depth_anything_v2"),)
    protocols = (("disparity",), ("disparity", "video", "median"))
    scorers = (
        Scorer("depth", against_depth, against_truth=True),
        Scorer("temporal", temporal_alignment, (Intrinsics,), against_truth=True),
        Scorer("steadiness", steadiness, (PairTracks,)),
        Scorer("drift", drift, (PairTracks, Cameras, ObjectMasks)),
        Scorer("edges", edges),
    )
    agreement = Agreement(
        "typical ratio of disparities",
        lambda a, b, stem: typical_ratio(AlignedDisparity, a, b, stem),
    )

    def displayed(self, scene: SceneResults, stem: str) -> Float32Array:
        """The map (H, W), NaN where it is invalid."""
        values = self.of(stem)
        return np.where(values > 0, values, np.float32(np.nan))

    def displayed_unit(self, scene: SceneResults) -> str:
        return _unit(scene)

    def curves(self, scene: SceneResults) -> list[Curve]:
        return [self.quantile_curve(scene, "Aligned disparity, 10, 50 and 90 %")]
