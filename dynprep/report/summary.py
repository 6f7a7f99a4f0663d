"""What a run's loggers and its page show, gathered once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynprep.errors import UserError, nearest
from dynprep.metrics.names import is_detail
from dynprep.pipeline.execute import StageRun
from dynprep.report.media import SceneMedia
from dynprep.verdicts.finding import Verdict


def split_details(values: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Scores that a person looks at first, and the details behind them."""
    details = {k: v for k, v in values.items() if is_detail(k)}
    return {k: v for k, v in values.items() if k not in details}, details


@dataclass
class Summary:
    """A run's outcome.

    command: that does it again; choices: by stage, how the user calls its backend; runs: how each stage went; scenes:
    by name, what they are; scores (against the truth) and consistency (without): by scene, then by name; alignments:
    the fits' report by scene; seconds: of the run; peak_memory: in bytes; failure: why the run stopped, None if it did
    not; objective: the score that a search looks at; verdicts: by scene; layouts: by name, the folders that were
    written; failed: why, by name, scenes were left out.
    """

    name: str
    folder: Path
    command: str
    config: dict[str, Any]
    choices: dict[str, str]
    versions: dict[str, str]
    runs: list[StageRun] = field(default_factory=list)
    scenes: dict[str, str] = field(default_factory=dict)
    datasets: list[Path] = field(default_factory=list)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    consistency: dict[str, dict[str, float]] = field(default_factory=dict)
    alignments: dict[str, dict[str, Any]] = field(default_factory=dict)
    media: list[SceneMedia] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    layouts: dict[str, list[Path]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory: int = 0
    failure: str | None = None
    objective: float | None = None

    def backend(self, run: StageRun) -> str:
        """How the user calls what ran."""
        return self.choices.get(run.name, run.backend)

    def flat_scores(self) -> dict[str, float]:
        """Scores by name, with the scene's in front where there are several."""
        return flat(self.scores)

    def flat_consistency(self) -> dict[str, float]:
        """Consistency by name, with the scene's in front where there are several."""
        return flat(self.consistency)

    def named(self, objective: str | None) -> float | None:
        """A score by name, its mean over scenes; raises UserError where no scene has it."""
        if objective is None:
            return None
        both = [{**self.scores.get(s, {}), **self.consistency.get(s, {})} for s in self.scenes]
        values = [scores[objective] for scores in both if objective in scores]
        if not values:
            known = sorted({name for scores in both for name in scores})
            raise UserError(
                f"objective={objective}: this run has no such score; {nearest(objective, known)}"
            )
        return sum(values) / len(values)

    def verdict_lines(self) -> list[str]:
        """What is not good, at most two lines a scene, with the scene's name where there are several."""
        several = len(self.verdicts) > 1
        return [
            f"{scene}: {line}" if several else line
            for scene, verdict in self.verdicts.items()
            for line in verdict.lines()
        ]

    def rows(self) -> list[tuple[str, str, int, int, float, float]]:
        """stage, backend, items made, items found, seconds, items a second."""
        return [(r.name, self.backend(r), r.made, r.found, r.seconds, r.rate) for r in self.runs]


def means(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Scores by name, each the mean over the scenes that have it."""
    every: dict[str, list[float]] = {}
    for scores in values.values():
        for name, value in scores.items():
            every.setdefault(name, []).append(value)
    return {name: sum(ones) / len(ones) for name, ones in every.items()}


def flat(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Scores by name, with the scene's in front where there are several."""
    several = len(values) > 1
    return {
        (f"{scene}/{name}" if several else name): value
        for scene, scores in values.items()
        for name, value in scores.items()
    }
