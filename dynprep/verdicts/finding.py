"""What is not good about a scene's results."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

_MOST_RANGES = 4  # ranges of frames in a line


@dataclass(frozen=True)
class Finding:
    """One check that a bound was met by.

    stage: the result that is not good; check: what was looked at, in a word; what: in words, after the name of the
    stage; frame: its stem, None for the whole clip; value, bound: what was measured and what was allowed; advice: what
    to do.
    """

    stage: str
    check: str
    what: str
    advice: str
    frame: str | None = None
    value: float | None = None
    bound: float | None = None


@dataclass(frozen=True)
class Verdict:
    """All findings on a scene. checks: how many kinds of check were made; measures: by stage and name, what was
    measured, a value a frame or one for the clip."""

    findings: tuple[Finding, ...] = ()
    checks: int = 0
    measures: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The value of ``verdict.json``."""
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "checks": self.checks,
            "measures": self.measures,
        }

    def frames(self) -> dict[str, list[Finding]]:
        """Findings by the stem of their frame."""
        frames: dict[str, list[Finding]] = {}
        for finding in self.findings:
            if finding.frame is not None:
                frames.setdefault(finding.frame, []).append(finding)
        return frames

    def lines(self) -> list[str]:
        """What must be said at the end of a run: nothing, a line on frames, a line on the clip."""
        of_frames: dict[tuple[str, str], list[int]] = {}
        of_clip: dict[str, list[str]] = {}
        for finding in self.findings:
            if finding.frame is None:
                of_clip.setdefault(finding.what, []).append(finding.stage)
            else:
                of_frames.setdefault((finding.stage, finding.what), []).append(int(finding.frame))
        # what several stages share is said once
        shared: dict[tuple[str, tuple[int, ...]], list[str]] = {}
        for (stage, what), frames in of_frames.items():
            shared.setdefault((what, tuple(sorted(frames))), []).append(stage)
        parts = [
            f"{'frame' if len(frames) == 1 else 'frames'} {ranges(frames)}: {_said(what, stages)}"
            for (what, frames), stages in sorted(shared.items(), key=lambda item: -len(item[0][1]))
        ]
        clip = [_said(what, dict.fromkeys(stages)) for what, stages in of_clip.items()]
        return [line for line in ("; ".join(parts), "; ".join(clip)) if line]


def _said(what: str, stages: Iterable[str]) -> str:
    """Such as ``turned over (metric_depth, depth)``."""
    return f"{what.removeprefix('is ').removeprefix('are ')} ({', '.join(stages)})"


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers as people write them, such as ``3, 19–23``; of many the first."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in parts[:_MOST_RANGES]]
    left = sum(b - a + 1 for a, b in parts[_MOST_RANGES:])
    return ", ".join(shown) + (f" and {left} more" if left else "")
