"""The form of a check: what it measures of which result, and how that is held against bounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.verdicts.finding import Finding
from dynprep.verdicts.options import VerdictBounds

# by name a value for every frame, None where there is none; of the clip a list of one
Measures = dict[str, list[float | None]]


@dataclass(frozen=True)
class Check:
    """Looks at one artefact.

    name: names its measures in the store; of: the artefact; kinds: how many kinds of fault it knows; measure: its
    measures; judge: findings, given measures, bounds and the stems; reads: artefacts that ``measure`` needs beside
    ``of`` and the frames; uses: artefacts that it looks at where they are; version: raised when the same results give
    other measures.
    """

    name: str
    of: type[Artefact]
    kinds: int
    measure: Callable[[type[Artefact], SceneResults], Measures]
    judge: Callable[[str, Measures, VerdictBounds, Sequence[str]], list[Finding]]
    reads: tuple[type[Artefact], ...] = ()
    uses: tuple[type[Artefact], ...] = ()
    version: int = 1


def frame_findings(
    stage: str,
    values: Sequence[float | None],
    stems: Sequence[str],
    is_bad: Callable[[float], bool],
    words: Mapping[str, str],
    bound: float,
) -> list[Finding]:
    """A finding for each frame whose value is bad; words: ``check``, ``what`` and ``advice``."""
    return [
        Finding(stage, frame=stem, value=value, bound=bound, **words)
        for stem, value in zip(stems, values, strict=True)
        if value is not None and is_bad(value)
    ]
