"""Errors of depth against the truth, under the protocols of the field.

A metric's full name carries space, scope and fit: ``absrel/disparity/video/lsq``.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from dynprep.metrics.image_mean import ImageMean

# predicted map's values, and the true depth in metres, of a frame's valid pixels: float64 (N,) each
Pairs = Callable[[], Iterable[tuple[Tensor, Tensor]]]

_LEAST = 1e-3  # m, or 1/m: a fit must not turn a pixel into one behind the camera or infinity
_DELTA = 1.25
_BINS, _LOW, _HIGH = 1 << 18, math.log(1e-6), math.log(1e6)  # of log depth


class DepthErrors(ImageMean):
    """AbsRel mean |d − d*| / d*; RMSE in metres; RMSE of log d; SILog sqrt(mean e² − (mean e)²),
    e = log d − log d* (Eigen et al. 2014); δk share with max(d/d*, d*/d) < 1.25^k."""

    higher_is_better = None
    names = ("absrel", "rmse", "rmse_log", "silog", "delta1", "delta2", "delta3")

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Count one image: depths (N,) above 0 in metres of its valid pixels."""
        if not len(true):
            return
        d, t = predicted.double(), true.double()
        off, e = d - t, d.log() - t.log()
        ratio = torch.maximum(d / t, t / d)
        variance = (e.square().mean() - e.mean().square()).clamp(min=0)
        deltas = [(ratio < _DELTA**k).double().mean() for k in (1, 2, 3)]
        self.add_image(
            (off.abs() / t).mean(),
            off.square().mean().sqrt(),
            e.square().mean().sqrt(),
            variance.sqrt(),
            *deltas,
        )


class AffineFit(Metric):
    """Scale and shift that bring values to others by least squares, in one pass over all images."""

    is_differentiable, full_state_update, higher_is_better = False, False, None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("sums", torch.zeros(5, dtype=torch.float64), dist_reduce_fx="sum")
        self.sums: Tensor

    def update(self, x: Tensor, y: Tensor) -> None:
        """Values (N,) and what they shall become."""
        x, y = x.double(), y.double()
        n = torch.tensor(float(len(x)), dtype=torch.float64)
        self.sums += torch.stack([n, x.sum(), y.sum(), (x * x).sum(), (x * y).sum()])

    def compute(self) -> Tensor:
        """(2,) scale, shift; a constant map gets scale 0; NaN without values."""
        n, sx, sy, sxx, sxy = self.sums
        spread = n * sxx - sx * sx
        scale = (n * sxy - sx * sy) / spread if spread > 0 else spread.new_zeros(())
        return torch.stack([scale, (sy - scale * sx) / n])


class MedianScale(Metric):
    """The factor between the medians of true and predicted depth over all images.

    Medians are read from histograms of log depth, so that memory does not grow: to 1e-4 of the value.
    """

    is_differentiable, full_state_update, higher_is_better = False, False, None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        zeros = torch.zeros(2, _BINS, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")
        self.counts: Tensor

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Depths (N,) in metres of one image's valid pixels."""
        for row, values in enumerate((predicted, true)):
            place = (values.double().log() - _LOW) / (_HIGH - _LOW) * _BINS
            place = place.clamp(0, _BINS - 1).long()
            self.counts[row] += torch.bincount(place.cpu(), minlength=_BINS).to(self.counts.device)

    def compute(self) -> Tensor:
        """The factor; NaN without values."""
        predicted, true = (self._median_log(row) for row in self.counts.double())
        return (true - predicted).exp()

    @staticmethod
    def _median_log(counts: Tensor) -> Tensor:
        upto = counts.cumsum(0)
        half = upto[-1] / 2
        if half == 0:
            return half * torch.nan
        place = int(torch.searchsorted(upto, half))
        before = upto[place - 1] if place else upto.new_zeros(())
        inside = (half - before) / counts[place]
        return _LOW + (place + inside) * (_HIGH - _LOW) / _BINS


@dataclass(frozen=True)
class Protocol:
    """How a prediction is brought to the truth before it is judged.

    space: what the prediction's values are, and where it is fitted; scope: one fit an image, or one
    for the video. Marigold fits lsq per image; Video Depth Anything and DepthCrafter lsq in
    disparity per video; MonST3R the median per video; metric models are not fitted.
    """

    space: Literal["disparity", "depth"]
    scope: Literal["image", "video"] = "video"
    fit: Literal["none", "lsq", "median"] = "none"

    @property
    def name(self) -> str:
        """Space, scope and fit, as they stand in a metric's name."""
        return "depth/none" if self.fit == "none" else f"{self.space}/{self.scope}/{self.fit}"

    def judge(self, pairs: Pairs) -> dict[str, float]:
        """``DepthErrors`` by full name; ``pairs`` is gone through once, or twice to fit a video."""
        errors = DepthErrors()
        shared = self._fitted(pairs()) if self.scope == "video" and self.fit != "none" else None
        for values, true in pairs():
            fit = shared
            if self.scope == "image" and self.fit != "none" and len(true):
                fit = self._fitted([(values, true)])
            errors.update(self._depth(values, fit), true)
        if not errors.update_called:
            return {}
        return {f"{k}/{self.name}": float(v) for k, v in errors.compute().items()}

    def _fitted(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """(2,) scale and shift in ``space``."""
        if self.fit == "lsq":
            line = AffineFit()
            for values, true in pairs:
                line.update(values, true if self.space == "depth" else 1 / true)
            return line.compute()
        factor = MedianScale()
        for values, true in pairs:
            factor.update(self._depth(values, None), true)
        scale = factor.compute()
        scale = scale if self.space == "depth" else 1 / scale
        return torch.stack([scale, torch.zeros_like(scale)])

    def _depth(self, values: Tensor, fit: Tensor | None) -> Tensor:
        if fit is not None:
            values = fit[0] * values + fit[1]
        values = values.clamp(min=_LEAST)
        return values if self.space == "depth" else 1 / values
