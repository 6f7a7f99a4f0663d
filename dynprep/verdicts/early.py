"""What is not good, said while the run still goes on."""

from collections.abc import Collection
from dataclasses import dataclass, field

from dynprep.artefacts.base import SceneResults
from dynprep.store import Store
from dynprep.verdicts.check import Check
from dynprep.verdicts.judge import CHECKS, judge
from dynprep.verdicts.options import VerdictBounds


@dataclass
class EarlyVerdict:
    """The checks of one scene, each made as soon as all that it looks at is complete.

    waiting: checks that are not made yet.
    """

    bounds: VerdictBounds
    store: Store
    waiting: list[Check] = field(default_factory=lambda: list(CHECKS))

    def after(
        self, scene: SceneResults, complete: Collection[str], awaited: Collection[str]
    ) -> list[str]:
        """What is found now, in lines; the whole verdict says it again when the run ends.

        complete: names of stages whose results are complete; awaited: names of stages that are still to run.
        """
        ready = [check for check in self.waiting if not _must_wait(check, awaited)]
        self.waiting = [check for check in self.waiting if check not in ready]
        return judge(scene, complete, self.bounds, self.store, ready).lines()


def _must_wait(check: Check, awaited: Collection[str]) -> bool:
    looks_at = (check.of, *check.reads, *check.uses)
    return any(artefact.name in awaited for artefact in looks_at)
