"""The form of a logger: what it is told of a run, from its start to its end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dynprep.job import Job
from dynprep.pipeline.execute import StageRun
from dynprep.report.media import SceneMedia
from dynprep.report.options import LoggerOptions
from dynprep.report.scene_progress import SceneProgress
from dynprep.report.summary import Summary
from dynprep.watch import Advance, Watch


@dataclass
class RunLogger:
    """Told of a run in the order in which it happens; this one forgets everything.

    options: the group ``logger``; job: how the run was asked for; closing: lines to print when all is over;
    progress: of the stage under way, in a run of many scenes.
    """

    options: LoggerOptions
    job: Job
    closing: list[str] = field(default_factory=list)
    progress: SceneProgress | None = None

    def begin(self, summary: Summary, tags: Sequence[str]) -> None:
        """The run has a plan. tags: the choices of its groups, such as ``masks=motion``."""

    @contextmanager
    def stage(self, watch: Watch, name: str, total: int) -> Iterator[Advance]:
        """A stage is being worked at, and is followed by ``watch`` too."""
        with watch(name, total) as advance:
            yield advance

    @property
    def wants_pictures(self) -> bool:
        """Whether ``stage_done`` is to have pictures."""
        return False

    def stage_done(self, run: StageRun, media: Sequence[SceneMedia]) -> None:
        """A stage has ended. media: its pictures, a scene each."""

    def end(self, summary: Summary) -> None:
        """The run has ended, well or with ``summary.failure``, and this is all there is."""

    def abandon(self, failure: str) -> None:
        """The run ends without a summary that could be told. Nothing happens after ``end``."""
