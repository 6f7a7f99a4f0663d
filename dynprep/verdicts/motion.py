"""Checks of tracks and of points in 3D.

Shapes: N points, T frames.
"""

from collections.abc import Sequence

import numpy as np

from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.points import KINDS, PointTrajectories
from dynprep.artefacts.tracks import PairTracks, cycle
from dynprep.verdicts.check import Check, Measures, frame_findings
from dynprep.verdicts.finding import Finding
from dynprep.verdicts.options import VerdictBounds

_BEYOND = 30.0  # times the median depth, or this part of it, that no point of a scene is at
_FEWEST = 20  # points that a median needs


def _measure_tracks(artefact: type[Artefact], scene: SceneResults) -> Measures:
    tracks, count = scene[PairTracks], len(scene.frames)
    lost: list[float | None] = [None] * count
    back: list[float | None] = [None] * count
    if not tracks.is_readable:
        return {"lost": lost, "cycle": back}
    for query in tracks.queries:
        if query + 1 not in tracks.targets(query):
            continue
        moved = tracks.between(query, query + 1)
        if len(moved) < _FEWEST:
            continue
        lost[query] = float(1 - tracks.visible(moved).mean())
        if tracks.is_full_grid and query + 1 in tracks.queries:
            start, returned, counted = (part.numpy() for part in cycle(tracks, query, query + 1))
            if counted.sum() >= _FEWEST:
                off = np.linalg.norm(returned - start, axis=1)[counted]
                back[query] = float(np.median(off)) / scene.frames.width
    return {"lost": lost, "cycle": back}


def _judge_tracks(
    stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]
) -> list[Finding]:
    findings: list[Finding] = []
    advice = "look for a cut, blur or fast motion there; data.stride=1, a higher frame rate or flow=alltracker may help"
    if bounds.lost is not None:
        limit = bounds.lost
        words = {"check": "lost", "what": "are lost in the next frame", "advice": advice}
        findings += frame_findings(stage, m["lost"], stems, lambda v: v > limit, words, limit)
    if bounds.cycle is not None:
        limit_cycle = bounds.cycle
        words = {"check": "cycle", "what": "do not return to where they started", "advice": advice}
        findings += frame_findings(
            stage, m["cycle"], stems, lambda v: v > limit_cycle, words, limit_cycle
        )
    return findings


def _measure_points(artefact: type[Artefact], scene: SceneResults) -> Measures:
    count = len(scene.frames)
    clouds = [scene[PointTrajectories].of(kind) for kind in KINDS]
    depth = np.concatenate([cloud.positions[..., 2] for cloud in clouds])
    seen = np.concatenate([cloud.visible for cloud in clouds])
    if not seen.any():
        return {"outside": [None] * count}
    middle = float(np.median(depth[seen]))
    outside = (depth > _BEYOND * middle) | (depth < middle / _BEYOND)
    return {
        "outside": [
            float(outside[:, k][seen[:, k]].mean()) if seen[:, k].sum() >= _FEWEST else None
            for k in range(count)
        ]
    }


def _judge_points(
    stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]
) -> list[Finding]:
    if bounds.outside is None:
        return []
    limit = bounds.outside
    words = {
        "check": "outside", "what": "lie far beyond the scene",
        "advice": "their depth is wrong there: look at the aligned disparity of these frames",
    }  # fmt: skip
    return frame_findings(stage, m["outside"], stems, lambda v: v > limit, words, limit)


CHECKS = (
    Check("tracks", PairTracks, 2, _measure_tracks, _judge_tracks),
    Check("points", PointTrajectories, 1, _measure_points, _judge_points),
)
