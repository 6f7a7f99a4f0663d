"""What a job of a multirun says: a line at its start, one a stage, one at its end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from rich.console import Console

from dynprep.errors import printable
from dynprep.job import Job
from dynprep.metrics.headlines import figures
from dynprep.pipeline.execute import StageRun
from dynprep.pipeline.plan import Plan
from dynprep.report.summary import Summary
from dynprep.report.terminal import Terminal
from dynprep.run_file import JOB_LOG
from dynprep.watch import Advance

_warned: set[str] = set()  # warnings that an earlier job of this process has given
_FIGURES = 1


class JobTerminal(Terminal):
    """A job's lines: on the screen where jobs run one after the other, else in a file of the job's folder."""

    def __init__(self, job: Job, folder: Path) -> None:
        super().__init__()
        self.job = job
        if job.in_parallel:
            self.watched = False
            folder.mkdir(parents=True, exist_ok=True)
            log = (folder / JOB_LOG).open("w", encoding="utf-8", buffering=1)
            self.console = Console(file=log, width=self.console.width, highlight=False)
        self.say(job.label)

    def warn(self, text: str) -> None:
        """As ``Terminal.warn``; what an earlier job said is not said again."""
        if self.job.in_parallel or text not in _warned:
            _warned.add(text)
            super().warn(text)

    def plan(self, plan: Plan, choices: dict[str, str], need: int) -> None:
        """Nothing: jobs of a multirun are alike."""

    def done(self, run: StageRun) -> None:
        """One line for a stage that had something to do."""
        if run.made:
            from_store = f", {run.found} found" if run.found else ""
            self.say(f"  {run.name:<14} {run.made} made{from_store}, {run.seconds:.1f} s")

    @contextmanager
    def follow(self, name: str, total: int) -> Iterator[Advance]:
        """A bar where somebody watches, no line."""
        with self.watch(name, total) as advance:
            yield advance

    def close(self, summary: Summary, report: Path | None, closing: Sequence[str] = ()) -> None:
        """One line: how long it took, and the first figure, of several scenes the mean."""
        computed = sum(run.made for run in summary.runs)
        scenes = [
            {**summary.scores.get(scene, {}), **summary.consistency.get(scene, {})}
            for scene in summary.scenes
        ]
        names = dict.fromkeys(name for scores in scenes for name in scores)
        means = {name: fmean(scores[name] for scores in scenes if name in scores) for name in names}
        several = f" (mean of {len(scenes)} scenes)" if len(scenes) > 1 else ""
        said = [f"{f.label} {f.value} {f.unit}{several}" for f in figures(means)[:_FIGURES]]
        findings = sum(len(verdict.findings) for verdict in summary.verdicts.values())
        if findings:
            said.append(f"{findings} finding{'s' if findings > 1 else ''}")
        how = "" if computed else ", all was in the store"
        for note in summary.notes:
            self.warn(note)
        parts = [f"{self.job.title} {self._ended(summary)} in {summary.seconds:.1f} s{how}", *said]
        self.say(printable("; ".join(parts)))

    @staticmethod
    def _ended(summary: Summary) -> str:
        """``done``, or how many of the scenes are."""
        count = len(summary.scenes)
        return f"made {count} of {count + len(summary.failed)} scenes" if summary.failed else "done"


def terminal_of(job: Job, folder: Path) -> Terminal:
    """The terminal of a run by itself, or of a job of a multirun."""
    return Terminal() if job.sweep is None else JobTerminal(job, folder)
