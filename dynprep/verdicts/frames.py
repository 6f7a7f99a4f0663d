"""Checks of the frames themselves: cuts, duplicates, black and blurred ones, jumps of exposure.

Shapes: (H, W) pixels.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from dynprep.arrays import UInt8Array
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.images import Images
from dynprep.cores import cores
from dynprep.verdicts.check import Check, Measures, frame_findings
from dynprep.verdicts.finding import Finding
from dynprep.verdicts.options import VerdictBounds
from dynprep.vision.shots import Thumbnail, change, thumbnail

_SHARPNESS_WIDTH = 480  # pixels, at which sharpness is measured
_AROUND = 5  # neighbours on each side that a frame's sharpness is compared with
_STILL = 0.9  # share of duplicates from which on the clip itself stands still
_SHARP = "sharpness"


def _look(rgb: UInt8Array) -> tuple[Thumbnail, float]:
    """A thumbnail and the sharpness of a frame."""
    height, width = rgb.shape[:2]
    scale = min(1.0, _SHARPNESS_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sharp = cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return thumbnail(rgb), float(cv2.Laplacian(sharp, cv2.CV_32F).var())


def _measure(artefact: type[Artefact], scene: SceneResults) -> Measures:
    stems, images = scene.frames.stems, scene[Images]
    names = ("brightness", _SHARP, "difference", "colours", "likeness")
    measures: Measures = {name: [] for name in names}
    before: Thumbnail | None = None
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(stems), cores()):  # a few at a time: a clip may be long
            for small, sharp in pool.map(
                lambda stem: _look(images.rgb(stem)), stems[start : start + cores()]
            ):
                changes: tuple[float | None, ...] = (None, None, None)
                if before is not None:
                    seen = change(before, small)
                    changes = (seen.difference, seen.colours, seen.likeness)
                row = (float(np.median(small.grey)), sharp, *changes)
                for name, value in zip(names, row, strict=True):
                    measures[name].append(value)
                before = small
    return measures


def _judge(stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]) -> list[Finding]:
    findings: list[Finding] = []
    cuts: set[str] = set()
    if bounds.cut is not None:
        both = [
            None if c is None or like is None or like > bounds.cut_likeness else c
            for c, like in zip(m["colours"], m["likeness"], strict=True)
        ]
        words = {
            "check": "cut", "what": "there is a cut before it",
            "advice": "data.split=cuts makes a scene of each shot",
        }  # fmt: skip
        limit = bounds.cut
        findings += frame_findings(stage, both, stems, lambda v: v > limit, words, limit)
        cuts = {f.frame for f in findings if f.frame is not None}
    if bounds.black is not None:
        words = {
            "check": "black", "what": "is black", "advice": "leave it out with data.start and data.end",
        }  # fmt: skip
        limit_black = bounds.black
        findings += frame_findings(
            stage, m["brightness"], stems, lambda v: v < limit_black, words, limit_black
        )
    if bounds.duplicate is not None:
        findings += _duplicates(stage, m["difference"], bounds.duplicate, stems)
    if bounds.blurred is not None:
        words = {
            "check": "blurred", "what": "is blurred",
            "advice": "expect poor flow and depth there, or leave it out with data.stride",
        }  # fmt: skip
        limit_blur = bounds.blurred
        findings += frame_findings(
            stage,
            _against_neighbours(m[_SHARP]),
            stems,
            lambda v: v < limit_blur,
            words,
            limit_blur,
        )
    if bounds.exposure is not None:
        words = {
            "check": "exposure", "what": "jumps in brightness",
            "advice": "lock the exposure when filming; flow and tracks across it are unreliable",
        }  # fmt: skip
        light = m["brightness"]
        jumps = [None, *(abs(b - a) for a, b in zip(light, light[1:], strict=False))]  # type: ignore[operator]
        jumps = [None if s in cuts else v for s, v in zip(stems, jumps, strict=True)]
        limit_light = bounds.exposure
        findings += frame_findings(
            stage, jumps, stems, lambda v: v > limit_light, words, limit_light
        )
    return findings


def _duplicates(
    stage: str, differences: Sequence[float | None], bound: float, stems: Sequence[str]
) -> list[Finding]:
    """Frames that repeat the one before; of a clip that stands still one finding."""
    advice = "data.fps or data.stride keeps one of each; repeated frames tell no motion"
    same = [v is not None and v < bound for v in differences]
    if len(stems) > 2 and sum(same) >= _STILL * (len(stems) - 1):
        return [Finding(stage, "duplicate", "frames repeat one picture", advice)]
    words = {"check": "duplicate", "what": "repeats the frame before", "advice": advice}
    return frame_findings(stage, differences, stems, lambda v: v < bound, words, bound)


def _against_neighbours(values: Sequence[float | None]) -> list[float | None]:
    """Each value as a share of the median of its neighbours'; None where they are 0."""
    shares: list[float | None] = []
    for k, value in enumerate(values):
        around = [
            v for v in (*values[max(0, k - _AROUND) : k], *values[k + 1 : k + 1 + _AROUND]) if v
        ]
        middle = float(np.median(around)) if around else 0.0
        shares.append(value / middle if value is not None and middle > 0 else None)
    return shares


CHECKS = (Check("frames", Images, 5, _measure, _judge),)
