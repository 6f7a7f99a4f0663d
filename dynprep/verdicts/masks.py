"""Checks of object masks: empty, tiny, nearly full, leaping in area or place.

Shapes: (H, W) pixels.
"""

from collections.abc import Sequence

import numpy as np

from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.masks import ObjectMasks
from dynprep.verdicts.check import Check, Measures, frame_findings
from dynprep.verdicts.finding import Finding
from dynprep.verdicts.options import VerdictBounds

_AROUND = 3  # neighbours on each side that a mask's area is compared with
_NONE = "empty"  # the backend that marks nothing, which is no fault


def _measure(artefact: type[Artefact], scene: SceneResults) -> Measures:
    masks, (height, width) = scene[ObjectMasks], scene.frames.size
    area: list[float | None] = []
    way: list[float | None] = []
    before: tuple[float, float] | None = None
    for stem in scene.frames.stems:
        mask = masks.of(stem)
        share = float(mask.mean())
        area.append(share)
        if share == 0:
            way.append(None)
            before = None
            continue
        rows, columns = np.nonzero(mask)
        middle = float(columns.mean()), float(rows.mean())
        size = (share * height * width) ** 0.5
        way.append(
            float(np.hypot(middle[0] - before[0], middle[1] - before[1])) / size if before else None
        )
        before = middle
    is_asked = scene.results[ObjectMasks.name].recipe.backend != _NONE
    return {"area": area, "way": way, "is_asked": [float(is_asked)]}


def _judge(stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]) -> list[Finding]:
    if m["is_asked"] != [1.0]:
        return []
    advice = "look at the masks; give your own with masks=folder, or change masks.threshold"
    area = [float(v or 0.0) for v in m["area"]]
    findings: list[Finding] = []
    if not any(area):
        return [Finding(stage, "empty", "are empty on all frames", advice)]
    words = {"check": "empty", "what": "are empty", "advice": advice}
    findings += frame_findings(stage, area, stems, lambda v: v == 0, words, 0.0)
    if bounds.tiny is not None:
        limit = bounds.tiny
        words = {"check": "tiny", "what": "are tiny", "advice": advice}
        findings += frame_findings(stage, area, stems, lambda v: 0 < v < limit, words, limit)
    if bounds.full is not None:
        limit_full = bounds.full
        words = {"check": "full", "what": "cover nearly the whole frame", "advice": advice}
        findings += frame_findings(stage, area, stems, lambda v: v > limit_full, words, limit_full)
    if bounds.area_leap is not None:
        limit_area = bounds.area_leap
        words = {"check": "area", "what": "leap in area", "advice": advice}
        findings += frame_findings(
            stage, _leaps(area), stems, lambda v: v > limit_area, words, limit_area
        )
    if bounds.place_leap is not None:
        limit_place = bounds.place_leap
        words = {"check": "place", "what": "leap in place", "advice": advice}
        findings += frame_findings(
            stage, m["way"], stems, lambda v: v > limit_place, words, limit_place
        )
    return findings


def _leaps(area: Sequence[float]) -> list[float | None]:
    """By how many octaves each area differs from the median of its neighbours'; None for empty ones."""
    leaps: list[float | None] = []
    for k, value in enumerate(area):
        around = [
            v for v in (*area[max(0, k - _AROUND) : k], *area[k + 1 : k + 1 + _AROUND]) if v > 0
        ]
        known = value > 0 and len(around) > 1
        leaps.append(abs(float(np.log2(value / np.median(around)))) if known else None)
    return leaps


CHECKS = (Check("masks", ObjectMasks, 5, _measure, _judge),)
