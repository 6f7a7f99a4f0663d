"""The few figures that a person looks at first, and what counts as good.

The bounds are rules of thumb: what published methods of the kind reach on common benchmarks, and what trainers live
with. They colour a figure; nothing else depends on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_MOST = 5  # figures
_PERCENT = 100.0


@dataclass(frozen=True)
class Headline:
    """A score worth a place at the top.

    stage, metric: words of the score's name; label: for people; good, fair: bounds in the score's own unit; better: 1
    where higher is better, -1 where lower is; unit: as shown; factor: from the score's unit to that.
    """

    stage: str
    metric: str
    label: str
    good: float
    fair: float
    better: int
    unit: str
    factor: float = 1.0


@dataclass(frozen=True)
class Figure:
    """A headline with its value: how it is shown, which way is better, the word, and what good is."""

    label: str
    value: str
    unit: str
    arrow: str
    word: str
    good: str
    score: str


_HEADLINES = (
    Headline("alignment", "absrel", "depth off the truth", 0.10, 0.20, -1, "%", _PERCENT),
    Headline("metric_depth", "absrel", "metric depth off the truth", 0.10, 0.20, -1, "%", _PERCENT),
    Headline("depth", "absrel", "relative depth off the truth", 0.10, 0.20, -1, "%", _PERCENT),
    Headline("masks", "J", "masks over the truth (J)", 0.80, 0.60, 1, "%", _PERCENT),
    Headline("tracks", "AJ", "tracks right (AJ)", 60.0, 40.0, 1, "%"),
    Headline("cameras", "ate", "camera off its path", 0.01, 0.05, -1, "%", _PERCENT),
    Headline("tracks/cycle_next", "mean_px", "tracks to the next frame and back", 0.5, 1.5, -1, "px"),
    Headline("tracks/cycle", "mean_px", "tracks through the clip and back", 2.0, 5.0, -1, "px"),
    Headline("alignment", "opw", "flicker of depth", 0.01, 0.03, -1, "%", _PERCENT),
    Headline("metric_depth", "opw", "flicker of metric depth", 0.01, 0.03, -1, "%", _PERCENT),
    Headline("depth", "opw", "flicker of relative depth", 0.01, 0.03, -1, "%", _PERCENT),
    Headline("alignment", "inliers", "pixels that align", 0.80, 0.60, 1, "%", _PERCENT),
    Headline("alignment", "on_image", "depth edges on image edges", 0.85, 0.70, 1, "%", _PERCENT),
    Headline("depth", "on_image", "depth edges on image edges", 0.85, 0.70, 1, "%", _PERCENT),
    Headline("alignment", "sharpness", "sharpness of depth edges", 0.30, 0.15, 1, "%", _PERCENT),
    Headline("depth", "sharpness", "sharpness of depth edges", 0.30, 0.15, 1, "%", _PERCENT),
)  # fmt: skip


def figures(scores: Mapping[str, float]) -> list[Figure]:
    """At most five figures of a scene's scores, by name, those against truth first."""
    shown = []
    named: set[str] = set()  # of a metric that several stages have, the last stage's says enough
    for headline in _HEADLINES:
        name = next((n for n in scores if _is(headline, n)), None)
        what = headline.metric if "/" not in headline.stage else headline.stage
        if name is not None and what not in named:
            named.add(what)
            shown.append(_figure(headline, name, scores[name]))
    return shown[:_MOST]


def _is(headline: Headline, name: str) -> bool:
    return name.startswith(f"{headline.stage}/") and headline.metric in name.split("/")


def _figure(headline: Headline, name: str, value: float) -> Figure:
    if value * headline.better >= headline.good * headline.better:
        word = "good"
    elif value * headline.better >= headline.fair * headline.better:
        word = "fair"
    else:
        word = "poor"
    side = "above" if headline.better > 0 else "below"
    return Figure(
        headline.label,
        f"{value * headline.factor:.3g}",
        headline.unit,
        "↑" if headline.better > 0 else "↓",
        word,
        f"{side} {headline.good * headline.factor:g} {headline.unit} is good",
        name,
    )
