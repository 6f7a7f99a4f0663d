"""What every metric is called, which way is better, its unit, and what it says; without PyTorch.

A score's name is words joined by "/", such as ``depth/absrel/disparity/video/lsq/static``: the stage,
the metric, and what it was computed from. One of its words is a metric's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricName:
    """A metric as tables and pages show it.

    better: 1 where higher is better, -1 where lower is, 0 where neither is; unit: ``%`` for 0..100,
    ``share`` for 0..1 or a relative error, empty where there is none; text: what it says; detail: whether
    it stands behind another metric of the same thing.
    """

    name: str
    better: int
    unit: str
    text: str
    detail: bool = False


DEPTH = (
    MetricName("absrel", -1, "share", "Mean error of depth relative to the true depth."),
    MetricName("rmse", -1, "m", "Root of the mean squared error of depth.", True),
    MetricName("rmse_log", -1, "", "Root of the mean squared error of log depth.", True),
    MetricName("silog", -1, "", "Deviation of the error of log depth, blind to scale.", True),
    MetricName("delta1", 1, "share", "Pixels whose depth is off by a factor below 1.25."),
    MetricName("delta2", 1, "share", "Pixels whose depth is off by a factor below 1.25².", True),
    MetricName("delta3", 1, "share", "Pixels whose depth is off by a factor below 1.25³.", True),
)
MASKS = (
    MetricName("J", 1, "share", "Intersection over union of the mask and the true one."),
    MetricName("F", 1, "share", "How well the mask's boundary lies on the true one."),
)
TRACKS = (
    MetricName("delta_avg", 1, "%", "Visible points near the truth, mean over five distances."),
    MetricName("OA", 1, "%", "Points whose visibility is predicted correctly."),
    MetricName("AJ", 1, "%", "Points that are right in position and visibility together."),
)
CYCLES = (
    MetricName("mean_px", -1, "px", "Mean distance from the start after tracking to and fro."),
    MetricName("within_1px", 1, "%", "Points that come back to within 1 pixel.", True),
    MetricName("within_2px", 1, "%", "Points that come back to within 2 pixels.", True),
    MetricName("within_4px", 1, "%", "Points that come back to within 4 pixels.", True),
)
STEADINESS = (
    MetricName("opw", -1, "share", "Mean change of a map along tracks, relative to its range."),
)
TEMPORAL = (
    MetricName("tae", -1, "share", "Error of depth that the camera's true motion takes on."),
)
DRIFT = (
    MetricName("drift", -1, "share", "Wandering of a still point's depth off the camera's path."),
)
EDGES = (
    MetricName("sharpness", 1, "share", "Part of an edge's height that lies within one pixel."),
    MetricName("on_image", 1, "share", "Edge pixels of the map that lie on edges of the image."),
)
ALIGNMENT = (
    MetricName("residual", -1, "1/m", "Median difference of aligned and metric disparity."),
    MetricName("inliers", 1, "share", "Pixels whose aligned disparity is near the metric one."),
    MetricName("scale_change", -1, "share", "Mean change of the scale from frame to frame."),
    MetricName("shift_change", -1, "1/m", "Mean change of the shift from frame to frame."),
)
COSTS = (
    MetricName("seconds", -1, "s", "Time that was spent on computing."),
    MetricName("wall", -1, "s", "Time from a run's start to its end."),
    MetricName("GB", -1, "GB", "Most memory that was used at a time."),
    MetricName("GPU_GB", -1, "GB", "Most memory of a GPU that was used at a time."),
)
CAMERAS = (
    MetricName("ate", -1, "share", "Error of the camera's places, relative to the path's length."),
    MetricName("ate_m", -1, "m", "Error of the camera's places after a similarity.", True),
    MetricName("rpe_m", -1, "m", "Error of the camera's motion from frame to frame.", True),
    MetricName("rpe_deg", -1, "°", "Error of the camera's turn from frame to frame."),
)
OTHERS = (
    MetricName("turn_deg", -1, "°", "Mean angle between a point's normals in neighbouring frames."),
)
METRICS = (
    DEPTH
    + MASKS
    + TRACKS
    + CYCLES
    + STEADINESS
    + TEMPORAL
    + DRIFT
    + EDGES
    + ALIGNMENT
    + CAMERAS
    + COSTS
    + OTHERS
)

_BY_NAME = {metric.name: metric for metric in METRICS}


def metric_name(score: str) -> MetricName | None:
    """Return the metric that a score's name holds, or None where no word of it is a metric's name."""
    # from the end, since the name of a scene may stand in front
    known = (_BY_NAME[word] for word in reversed(score.split("/")) if word in _BY_NAME)
    return next(known, None)


def direction(score: str) -> int:
    """Return 1 where a higher score is better, -1 where a lower one is, 0 where neither or unknown."""
    metric = metric_name(score)
    return 0 if metric is None else metric.better


def is_detail(score: str) -> bool:
    """Return whether a score stands behind another one of the same thing."""
    metric = metric_name(score)
    return metric is not None and metric.detail


def names_of(metrics: Sequence[MetricName]) -> tuple[str, ...]:
    """Return the names of these metrics, in their order."""
    return tuple(metric.name for metric in metrics)


def higher_is_better_of(metrics: Sequence[MetricName]) -> bool | None:
    """Return whether higher is better for all of these metrics, as torchmetrics asks; None if mixed."""
    directions = {metric.better for metric in metrics}
    return {frozenset({1}): True, frozenset({-1}): False}.get(frozenset(directions))
