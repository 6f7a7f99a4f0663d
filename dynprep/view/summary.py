"""What a run's loggers and its page show, gathered once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynprep.errors import UserError, nearest
from dynprep.pipeline.execute import StageRun
from dynprep.view.media import SceneMedia

# metrics that stand behind others of the same thing
_DETAILS = {
    "rmse_log",
    "silog",
    "rmse",
    "delta2",
    "delta3",
    "within_1px",
    "within_2px",
    "within_4px",
}


def told_first(values: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Scores that a person looks at first, and the others."""
    behind = {k: v for k, v in values.items() if _DETAILS & set(k.split("/"))}
    return {k: v for k, v in values.items() if k not in behind}, behind


@dataclass
class Summary:
    """A run's outcome. scores (against the truth) and consistency (without): by scene, then name.
    alignments: the report by scene. failure: why
    the run stopped, None if it did not."""

    name: str
    folder: Path
    config: dict[str, Any]
    backends: dict[str, str]
    versions: dict[str, str]
    runs: list[StageRun] = field(default_factory=list)
    scenes: dict[str, str] = field(default_factory=dict)
    datasets: list[Path] = field(default_factory=list)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    consistency: dict[str, dict[str, float]] = field(default_factory=dict)
    alignments: dict[str, dict[str, Any]] = field(default_factory=dict)
    media: list[SceneMedia] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory: int = 0
    failure: str | None = None
    objective: float | None = None

    def backend(self, run: StageRun) -> str:
        """How the user calls what ran."""
        return self.backends.get(run.name, run.backend)

    def flat_scores(self) -> dict[str, float]:
        """Scores by name, with the scene's in front where there are several."""
        return _flat(self.scores)

    def flat_consistency(self) -> dict[str, float]:
        """The same of what is said without truth."""
        return _flat(self.consistency)

    def named(self, objective: str | None) -> float | None:
        """A score by name, its mean over scenes; raises UserError where no scene has it."""
        if objective is None:
            return None
        both = [{**self.scores.get(s, {}), **self.consistency.get(s, {})} for s in self.scenes]
        values = [found[objective] for found in both if objective in found]
        if not values:
            there = sorted({name for found in both for name in found})
            raise UserError(
                f"objective={objective}: this run has no such score; {nearest(objective, there)}"
            )
        return sum(values) / len(values)

    def rows(self) -> list[tuple[str, str, int, int, float, float]]:
        """stage, backend, items made, items found, seconds, items a second."""
        return [(r.name, self.backend(r), r.made, r.found, r.seconds, r.rate) for r in self.runs]


def _flat(values: dict[str, dict[str, float]]) -> dict[str, float]:
    several = len(values) > 1
    return {
        (f"{scene}/{name}" if several else name): value
        for scene, found in values.items()
        for name, value in found.items()
    }
