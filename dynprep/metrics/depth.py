"""Errors of depth against the truth, under the protocols of the field.

A metric's full name carries space, scope and fit: ``absrel/disparity/video/lsq``.

Shapes: N valid pixels of an image, each image its own number.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from dynprep.arrays import Float64Array, check_shapes
from dynprep.metrics.image_mean import ImageMean
from dynprep.metrics.names import DEPTH, higher_is_better_of, names_of

# predicted map's values, and the true depth in metres, of a frame's valid pixels: float64 (N,) each
Pairs = Callable[[], Iterable[tuple[Tensor, Tensor]]]

_LEAST = 1e-3  # m, or 1/m: a fit must not turn a pixel into one behind the camera or infinity
_DELTA = 1.25
_BINS, _LOW, _HIGH = 1 << 18, math.log(1e-6), math.log(1e6)  # of log depth


class DepthErrors(ImageMean):
    """The usual errors of predicted depth d against true depth d*, averaged over images.

    AbsRel: mean of |d - d*| / d*. RMSE: root of the mean of (d - d*)², in metres. With e = log d - log d*,
    RMSE log: root of the mean of e²; SILog: sqrt(mean(e²) - mean(e)²), the root of the scale-invariant
    error of Eigen et al. (2014), section "Scale-Invariant Error". δk: share of pixels with
    max(d / d*, d* / d) < 1.25^k.
    """

    higher_is_better = higher_is_better_of(DEPTH)
    names = names_of(DEPTH)

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Count one image: depths (N,) in metres, above 0. An image without pixels does not count.

        Raises ValueError for other shapes.
        """
        check_shapes(predicted=(predicted, "N"), true=(true, "N"))
        if not len(true):
            return
        d, t = predicted.double(), true.double()
        off, e = d - t, d.log() - t.log()
        ratio = torch.maximum(d / t, t / d)
        # a common factor shifts e by a constant, which the variance does not see; rounding may bring the
        # difference of two nearly equal numbers below 0
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
    """Scale and shift that bring values to others by least squares, in one pass over all images.

    The state is the five sums that the normal equations are made of, so that memory does not grow.
    """

    is_differentiable, full_state_update, higher_is_better = False, False, None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("sums", torch.zeros(5, dtype=torch.float64), dist_reduce_fx="sum")
        self.sums: Tensor

    def update(self, x: Tensor, y: Tensor) -> None:
        """Count values x (N,) and what they shall become, y (N,), in any unit.

        Raises ValueError for other shapes.
        """
        check_shapes(x=(x, "N"), y=(y, "N"))
        x, y = x.double(), y.double()
        n = torch.tensor(float(len(x)), dtype=torch.float64)
        self.sums += torch.stack([n, x.sum(), y.sum(), (x * x).sum(), (x * y).sum()])

    def compute(self) -> Tensor:
        """Return scale and shift (2,); a constant x gets scale 0; NaN without values."""
        n, sx, sy, sxx, sxy = self.sums
        spread = n * sxx - sx * sx  # n² times the variance of x
        scale = (n * sxy - sx * sy) / spread if spread > 0 else spread.new_zeros(())
        return torch.stack([scale, (sy - scale * sx) / n])


class MedianScale(Metric):
    """The factor between the medians of true and predicted depth over all images.

    The state is a histogram of log depth each, so that memory does not grow and the histograms of several
    ranks add up. Bins are even in log depth from 1e-6 to 1e6 m, each 1e-4 wide, so that a median is right
    to 0.01 % of its value; what lies outside counts in the first or last bin.
    """

    is_differentiable, full_state_update, higher_is_better = False, False, None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        zeros = torch.zeros(2, _BINS, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")
        self.counts: Tensor

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Count one image: depths (N,) in metres, above 0. Raises ValueError for other shapes."""
        check_shapes(predicted=(predicted, "N"), true=(true, "N"))
        for row, values in enumerate((predicted, true)):
            place = (values.double().log() - _LOW) / (_HIGH - _LOW) * _BINS
            place = place.clamp(0, _BINS - 1).long()
            self.counts[row] += torch.bincount(place.cpu(), minlength=_BINS).to(self.counts.device)

    def compute(self) -> Tensor:
        """Return the factor, a scalar above 0; NaN without values."""
        predicted, true = (self._median_log(row) for row in self.counts.double())
        return (true - predicted).exp()

    @staticmethod
    def _median_log(counts: Tensor) -> Tensor:
        """The median of log depth from a histogram, values taken as even within a bin."""
        cumulative = counts.cumsum(0)
        half = cumulative[-1] / 2
        if half == 0:
            return half * torch.nan
        place = int(
            torch.searchsorted(cumulative, half)
        )  # the bin in which half of all are reached
        before = cumulative[place - 1] if place else cumulative.new_zeros(())
        inside = (half - before) / counts[place]  # how far into that bin, in 0..1
        return _LOW + (place + inside) * (_HIGH - _LOW) / _BINS


@dataclass(frozen=True)
class Protocol:
    """How a prediction is brought to the truth before its errors are taken.

    space: what the prediction's values are, and where it is fitted; scope: one fit an image, or one for
    the video; fit: none, least squares of scale and shift, or the factor between medians. Marigold fits
    lsq per image; Video Depth Anything and DepthCrafter lsq in disparity per video; MonST3R the median
    per video; metric models are not fitted.
    """

    space: Literal["disparity", "depth"]
    scope: Literal["image", "video"] = "video"
    fit: Literal["none", "lsq", "median"] = "none"

    @property
    def name(self) -> str:
        """Space, scope and fit, as they stand in a metric's name."""
        return "depth/none" if self.fit == "none" else f"{self.space}/{self.scope}/{self.fit}"

    def score(self, pairs: Pairs) -> dict[str, float]:
        """Return ``DepthErrors`` by full name; empty without images.

        pairs: gives, each time that it is called, predicted values (N,) in ``space`` and true depth (N,)
        in metres of every image; it is called twice for one fit of a video. Raises ValueError for other
        shapes.
        """
        errors = DepthErrors()
        shared = self.fitted(pairs()) if self.scope == "video" and self.fit != "none" else None
        for values, true in pairs():
            fit = shared
            if self.scope == "image" and self.fit != "none" and len(true):
                fit = self.fitted([(values, true)])
            errors.update(self._depth(values, fit), true)
        if not errors.update_called:
            return {}
        return {f"{k}/{self.name}": float(v) for k, v in errors.compute().items()}

    def fitted(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Scale and shift (2,) in ``space`` that bring predicted values to true depth, (N,) each of every image."""
        if self.fit == "lsq":
            line = AffineFit()
            for values, true in pairs:
                line.update(values, true if self.space == "depth" else 1 / true)
            return line.compute()
        factor = MedianScale()
        for values, true in pairs:
            factor.update(self._depth(values, None), true)
        scale = factor.compute()
        scale = scale if self.space == "depth" else 1 / scale  # disparity is the inverse of depth
        return torch.stack([scale, torch.zeros_like(scale)])

    def depth(self, values: Float64Array, fit: Tensor) -> Float64Array:
        """Depth in metres of values in ``space``, of any shape, by a fit (2,)."""
        return self._depth(torch.from_numpy(values), fit).numpy()

    def _depth(self, values: Tensor, fit: Tensor | None) -> Tensor:
        """Depth (N,) in metres of values in ``space``, fitted where there is a fit."""
        if fit is not None:
            values = fit[0] * values + fit[1]
        values = values.clamp(min=_LEAST)
        return values if self.space == "depth" else 1 / values
