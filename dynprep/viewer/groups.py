"""The player's data: which layers a page shows, and in what order."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dynprep.artefacts import Artefact
from dynprep.artefacts.display import Curve
from dynprep.scene.frames import Frames

RATE = 12  # frames a second, slow enough to follow


def group(artefact: type[Artefact], panels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Layers of one artefact under its title; each panel is a ``viewer.layers.layer`` with a ``label``."""
    title = artefact.title
    return {
        "name": artefact.name,
        "title": title,
        "short": title.partition(" (")[0].partition(",")[0],
        "panels": list(panels),
    }


def player(
    frames: Frames,
    stems: Sequence[str],
    groups: Sequence[Mapping[str, Any]],
    shown: Sequence[str],
    marks: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """What ``player.js`` takes. shown: names of the groups that are seen at first; marks: remarks by stem."""
    return {
        "stems": list(stems),
        "rate": RATE,
        "size": [frames.width, frames.height],
        "groups": list(groups),
        "shown": list(shown),
        "marks": {stem: list(lines) for stem, lines in marks.items()},
    }


def charts(curves: Iterable[Curve]) -> list[dict[str, Any]]:
    """What ``curves.js`` takes; a chart without a single value is left out."""
    drawn = []
    for curve in curves:
        lines = {label: [_short(v) for v in values] for label, values in curve.lines.items()}
        if any(v is not None for values in lines.values() for v in values):
            count = max(len(values) for values in lines.values())
            drawn.append(
                {
                    "title": curve.title,
                    "unit": curve.unit,
                    "lines": lines,
                    "marked": list(curve.marked),
                    "marks": curve.marks,
                    "share": curve.share,
                    "count": count,
                }
            )
    return drawn


def _short(value: float | None) -> float | None:
    """A value to five digits; None for what is not a number."""
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None
