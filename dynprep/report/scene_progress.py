"""How far a run of many scenes is: what the stage under way has done, what failed, and the time that is left."""

import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import fmean

from dynprep.durations import duration
from dynprep.pipeline.plan import Plan

_SURE_AFTER = 5.0  # seconds of work before anything is said of the time that is left


class SceneProgress:
    """Counts scenes of the stage under way, which is called ``stage``.

    Stages that are still to come are taken to need as long a scene as the store's results of them did, or, where it
    has none, as those that ran did on average.
    """

    def __init__(self, todo: Mapping[str, int], known: Mapping[str, float]) -> None:
        """todo: scenes that each stage has to make, in order; known: seconds that a scene of a stage took before."""
        self._todo, self._known = dict(todo), dict(known)
        self._measured: dict[str, float] = {}
        self.stage = ""
        self._ends: list[int] = []
        self._items, self._began = 0, time.monotonic()
        self.failed = 0

    def begin(self, stage: str, sizes: Sequence[int]) -> None:
        """A stage begins. sizes: items that each of its scenes lacks, in order."""
        self.stage, self._items, self._began = stage, 0, time.monotonic()
        self._ends = list(accumulate(sizes))

    def advance(self, count: int) -> None:
        """So many items more are there."""
        self._items += count

    def end(self) -> None:
        """The stage has ended."""
        if self._ends:
            self._measured[self.stage] = (time.monotonic() - self._began) / len(self._ends)
        self._todo.pop(self.stage, None)

    @property
    def done(self) -> int:
        """Scenes that the stage under way has finished."""
        return bisect_right(self._ends, self._items)

    def left(self) -> float | None:
        """Seconds until all stages have run; None while nothing can be said."""
        spent = time.monotonic() - self._began
        total = self._ends[-1] if self._ends else 0
        if not self._items or (spent < _SURE_AFTER and not self._measured):
            return None
        current = spent / self._items * (total - self._items)
        paces = [*self._measured.values(), spent / self._items * total / max(len(self._ends), 1)]
        usual = sum(paces) / len(paces)
        later = (
            count * self._known.get(stage, usual)
            for stage, count in self._todo.items()
            if stage != self.stage
        )
        return current + sum(later)

    def text(self) -> str:
        """Such as ``412/1000 scenes, 3 failed, 1 h 12 min left``."""
        failed = f", {self.failed} failed" if self.failed else ""
        left = self.left()
        remaining = f", {duration(left)} left" if left is not None else ""
        return f"{self.done}/{len(self._ends)} scenes{failed}{remaining}"


def progress_of(plan: Plan) -> SceneProgress:
    """The progress of a plan whose stages are about to run."""
    todo: dict[str, int] = {}
    known: dict[str, float] = {}
    for name in plan.stages:
        complete = [s.results[name] for s in plan.scenes if plan.is_complete(name, s)]
        todo[name] = len(plan.scenes) - len(complete)
        seals = [result.seal() for result in complete]
        seconds = [seal.facts.get("seconds") for seal in seals if seal is not None]
        if measured := [float(value) for value in seconds if value]:
            known[name] = fmean(measured)
    return SceneProgress(todo, known)


def sizes_of(plan: Plan, stage: str) -> list[int]:
    """Items that each scene lacks of a stage, in the order in which they are made."""
    seen: set[str] = set()
    sizes = []
    for scene in sorted(plan.scenes, key=lambda s: s.results[stage].key):
        key = scene.results[stage].key
        if key not in seen and (count := len(plan.todo(stage, scene))):
            seen.add(key)
            sizes.append(count)
    return sizes
