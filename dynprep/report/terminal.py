"""What a run says in the terminal: what will run, how it goes, what came of it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from dynprep.errors import printable
from dynprep.files import free_bytes, human_bytes
from dynprep.pipeline.execute import StageRun
from dynprep.pipeline.plan import Plan
from dynprep.pipeline.watch import Advance
from dynprep.report.summary import Summary, split_details

_PLAIN_WIDTH = 80  # of tables when nobody watches
_VERDICT_LINES = 2
_GAP = (0, 1, 0, 0)  # beside columns: backends have long names


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="cyan")


@contextmanager
def no_progress(name: str, total: int) -> Iterator[Advance]:
    """Follow a stage without showing anything."""
    yield lambda count: None


class Terminal:
    """Writes to standard error, so that standard output stays for results of commands."""

    def __init__(self) -> None:
        watched = sys.stderr.isatty()
        self.console = Console(
            stderr=True, width=None if watched else _PLAIN_WIDTH, highlight=False
        )
        self.watched = watched

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(printable(text), markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that must be seen."""
        self.console.print(
            Text("! ", style="bold yellow") + Text(printable(text)), soft_wrap=not self.watched
        )

    def plan(self, plan: Plan, choices: dict[str, str], need: int) -> None:
        """Show which stages run, which results exist, and how much disk the run takes.

        choices: by stage, how the user calls its backend; need: bytes.
        """
        count = sum(len(scene.frames) for scene in plan.scenes)
        first = plan.scenes[0]
        title = first.name if len(plan.scenes) == 1 else f"{len(plan.scenes)} scenes"
        size = f"{first.frames.width}x{first.frames.height}"
        table = Table(
            title=Text(printable(f"{title}: {count} frames of {size}")),
            title_justify="left",
            box=None,
            padding=_GAP,
        )
        for name, side in (
            ("stage", "left"),
            ("backend", "left"),
            ("items", "right"),
            ("in store", "right"),
            ("disk", "right"),
        ):
            table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
        for name, stage in plan.stages.items():
            items = sum(len(stage.items(scene.frames)) for scene in plan.scenes)
            todo = sum(len(plan.todo(name, scene)) for scene in plan.scenes)
            complete = all(plan.is_complete(name, scene) for scene in plan.scenes)
            in_store = "all" if complete else f"{items - todo}" if items > todo else "-"
            size_on_disk = sum(stage.disk_bytes(scene.frames) for scene in plan.scenes)
            backend = choices.get(name, stage.backend_id)
            disk = "" if complete else f"≤ {human_bytes(size_on_disk)}"
            table.add_row(
                name,
                Text(printable(backend)),
                str(items),
                in_store,
                disk,
                style="dim" if complete else "",
            )
        self.console.print(table)
        for name, stage in plan.stages.items():
            efforts = [stage.effort(s.frames) for s in plan.scenes if plan.todo(name, s)]
            for effort in dict.fromkeys(filter(None, efforts)):
                self.say(f"{name}: {effort}")
        free = human_bytes(free_bytes(plan.store.root))
        self.say(f"needs up to {human_bytes(need)} of disk, {free} are free\n")

    @contextmanager
    def watch(self, name: str, total: int) -> Iterator[Advance]:
        """A progress bar for a stage; a line at its end when nobody watches."""
        if not self.watched:
            yield lambda count: None
            return
        columns = (
            TextColumn("{task.description:13}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(name, total=total)
            yield lambda count: progress.advance(task, count)

    def done(self, run: StageRun) -> None:
        """One line when a stage has ended and nobody watches a bar."""
        if run.made and not self.watched:
            self.say(f"{run.name}: {run.made} items in {run.seconds:.1f} s")

    def close(self, summary: Summary, report: Path | None) -> None:
        """The closing table, scores, warnings, and where everything is."""
        table = Table(box=None, title="done", title_justify="left", padding=_GAP)
        for name, side in (
            ("stage", "left"),
            ("backend", "left"),
            ("made", "right"),
            ("found", "right"),
            ("time", "right"),
            ("per s", "right"),
            ("where", "left"),
        ):
            table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
        devices = {run.name: run.device for run in summary.runs}
        for name, backend, made, found, seconds, rate in summary.rows():
            speed = f"{rate:.1f}" if made else ""
            table.add_row(
                name,
                Text(printable(backend)),
                str(made),
                str(found),
                f"{seconds:.1f} s",
                speed,
                devices.get(name, ""),
            )
        self.console.print(table)
        memory = f"{summary.peak_memory / 1e9:.1f} GB of memory at most"
        self.say(f"{summary.seconds:.1f} s in all, {memory}\n")
        if scores := summary.flat_scores():
            self.say("against the truth")
            self._numbers(scores)
            self.say("")
        if measures := summary.flat_consistency():
            self.say("without truth (consistency is not accuracy)")
            self._numbers(measures)
            self.say("")
        for note in summary.notes:
            self.warn(note)
        self._verdict(summary)
        for folder in summary.datasets:
            self.say(f"dataset  {folder}")
        for name, folders in summary.layouts.items():
            for folder in folders:
                self.say(f"{name:<8} {folder}")
        for media in summary.media:
            if media.recording is not None:
                self.say(f"rerun    {media.recording}")
        if report is not None:
            self.say(f"report   {report}")

    def _verdict(self, summary: Summary) -> None:
        """At most three lines: what is not good, and where more is said."""
        lines = summary.verdict_lines()
        checks = sum(verdict.checks for verdict in summary.verdicts.values())
        for line in lines[:_VERDICT_LINES]:
            self.warn(line)
        if lines:
            rest = len(lines) - _VERDICT_LINES
            more = f", {rest} more lines" if rest > 0 else ""
            self.say(f"verdict  {summary.folder / 'verdict.json'}{more}")
        elif checks:
            self.say(f"verdict  {checks} checks found nothing wrong")

    def _numbers(self, values: dict[str, float]) -> None:
        shown, _ = split_details(values)
        wide = max(map(len, shown), default=0)
        for name, value in shown.items():
            self.say(f" {name:<{wide}}  {value:.4g}")
