"""What a run says in the terminal: what will run, how it goes, what came of it."""

import sys
import time
from collections.abc import Iterator, Sequence
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
from rich.style import Style
from rich.table import Table
from rich.text import Text

from dynprep.artefacts.images import Images
from dynprep.errors import WARNING, folded, printable
from dynprep.files import free_bytes, human_bytes
from dynprep.pipeline.execute import StageRun
from dynprep.pipeline.plan import Plan
from dynprep.report.scene_progress import SceneProgress, progress_of
from dynprep.report.summary import Summary, flat, means, split_details
from dynprep.watch import Advance

_PLAIN_WIDTH = 80  # of tables when nobody watches
_VERDICT_LINES = 2
_FEW = 4  # scenes that are shown one by one; of more it is their means, and the folder above them
_NARROW_BAR = 12  # letters, beside a longer text
_SAY_EVERY = 15.0  # seconds between two lines on how far it is, where nobody watches
_GAP = (0, 1, 0, 0)  # beside columns: backends have long names
_WORTH_A_LINE = (
    1.0  # seconds that a step after the stages takes before it is told of when nobody watches
)
_PLACE = 8  # letters of what a folder is


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="cyan")


class _Scenes(ProgressColumn):
    """Scenes that are done and failed, and the time that is left."""

    def __init__(self, progress: SceneProgress) -> None:
        super().__init__()
        self._progress = progress

    def render(self, task: Task) -> Text:
        return Text(self._progress.text(), style="cyan")


class Terminal:
    """Writes to standard error, so that standard output stays for results of commands."""

    def __init__(self) -> None:
        watched = sys.stderr.isatty()
        self.console = Console(
            stderr=True, width=None if watched else _PLAIN_WIDTH, highlight=False
        )
        self.watched = watched
        self.progress: SceneProgress | None = None  # of a run of many scenes
        self._said = time.monotonic()

    def follow_scenes(self, plan: Plan) -> None:
        """Count scenes from now on, if there are many."""
        if len(plan.scenes) > _FEW:
            self.progress = progress_of(plan)

    def say(self, text: str) -> None:
        """One line; where people watch, folded between words: paths and names of repositories stay whole."""
        self._print(text, Text())

    def warn(self, text: str) -> None:
        """One line that must be seen."""
        self._print(text, Text(WARNING, style="bold yellow"))

    def place(self, what: str, path: Path) -> None:
        """Where something is, as a link where the terminal has them."""
        shown = Text(f"{what:<{_PLACE}} ")
        shown.append(printable(str(path)), Style(link=path.absolute().as_uri()))
        self.console.print(shown, soft_wrap=True)

    def line(self, text: str) -> None:
        """One line that people copy, as it is however long."""
        self.console.print(printable(text), markup=False, soft_wrap=True)

    def _print(self, text: str, before: Text) -> None:
        text = printable(text)
        if self.watched:
            text = folded(text, self.console.width - len(before))
        self.console.print(before + Text(text), soft_wrap=True)

    def plan(self, plan: Plan, choices: dict[str, str], need: int) -> None:
        """Show which stages run and why, which results exist, and how much disk the run takes.

        choices: by stage, how the user calls its backend; need: bytes.
        """
        count = sum(len(scene.frames) for scene in plan.scenes)
        first = plan.scenes[0]
        title = first.name if len(plan.scenes) == 1 else f"{len(plan.scenes)} scenes"
        size = f"{first.frames.width}x{first.frames.height}"
        self.say(f"{title}: {count} frame{'s' if count != 1 else ''} of {size}")
        if (line := helper_line(plan)) is not None:
            self.say(folded(line, min(self.console.width, _PLAIN_WIDTH)))
        table = Table(box=None, padding=_GAP)
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
        """A progress bar for a stage, where somebody watches; else of many scenes a line now and then."""
        counted = (
            self.progress if self.progress is not None and self.progress.stage == name else None
        )
        if not self.watched:
            yield lambda count: self._count(name, counted, count)
            return
        columns: list[ProgressColumn] = [
            TextColumn("{task.description:13}"),
            BarColumn(bar_width=24 if counted is None else _NARROW_BAR),
        ]
        if counted is None:
            columns += [MofNCompleteColumn(), _Rate(), TimeRemainingColumn(compact=True)]
        else:
            columns.append(_Scenes(counted))
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(name, total=total)

            def advance(count: int) -> None:
                if counted is not None:
                    counted.advance(count)
                progress.advance(task, count)

            yield advance

    def _count(self, name: str, counted: SceneProgress | None, count: int) -> None:
        """Where nobody watches: how far it is, every so often."""
        if counted is None:
            return
        counted.advance(count)
        if time.monotonic() - self._said >= _SAY_EVERY:
            self._said = time.monotonic()
            self.say(f"{name}: {counted.text()}")

    @contextmanager
    def follow(self, name: str, total: int) -> Iterator[Advance]:
        """As ``watch``, for what comes after the stages; a line at its end if it took a while and nobody watches."""
        began = time.monotonic()
        with self.watch(name, total) as advance:
            yield advance
        seconds = time.monotonic() - began
        if not self.watched and seconds >= _WORTH_A_LINE:
            self.say(f"{name}: {total} in {seconds:.1f} s")

    def done(self, run: StageRun) -> None:
        """One line when a stage has ended and nobody watches a bar."""
        if run.made and not self.watched:
            self.say(f"{run.name}: {run.made} items in {run.seconds:.1f} s")

    def close(self, summary: Summary, report: Path | None, closing: Sequence[str] = ()) -> None:
        """The closing table, scores, warnings, and where everything is. closing: the logger's last lines."""
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
        for title, scores in (
            ("against the truth", summary.scores),
            ("without truth (consistency is not accuracy)", summary.consistency),
        ):
            shown, over = flat(scores), ""
            if len(scores) > _FEW:
                shown, over = means(scores), f", means over {len(scores)} scenes"
            if shown:
                self.say(title + over)
                self._numbers(shown)
                self.say("")
        for note in summary.notes:
            self.warn(note)
        self._verdict(summary)
        self._folders("dataset", summary.datasets)
        for name, folders in summary.layouts.items():
            self._folders(name, folders)
        for media in summary.media:
            if media.recording is not None:
                self.place("rerun", media.recording)
        if report is not None:
            self.place("report", report)
        for text in closing:
            self.line(text)

    def _folders(self, what: str, folders: Sequence[Path]) -> None:
        """Where something of every scene is; of many scenes, where they all are."""
        if len(folders) > _FEW and len({folder.parent for folder in folders}) == 1:
            self.say(f"{len(folders)} scenes in")
            folders = [folders[0].parent]
        for folder in folders:
            self.place(what, folder)

    def _verdict(self, summary: Summary) -> None:
        """At most three lines: what is not good, and where more is said."""
        lines = summary.verdict_lines()
        checks = sum(verdict.checks for verdict in summary.verdicts.values())
        for line in lines[:_VERDICT_LINES]:
            self.warn(line)
        if lines:
            rest = len(lines) - _VERDICT_LINES
            if rest > 0:
                self.say(f"{rest} more such lines in the file named next")
            self.place("verdict", summary.folder / "verdict.json")
        elif checks:
            self.say(f"verdict  {checks} checks found nothing wrong")

    def _numbers(self, values: dict[str, float]) -> None:
        shown, _ = split_details(values)
        wide = max(map(len, shown), default=0)
        for name, value in shown.items():
            self.say(f" {name:<{wide}}  {value:.4g}")


def helper_line(plan: Plan) -> str | None:
    """Which stages run that nobody asked for, and for which that somebody did; None where there are none to run."""
    stages = plan.stages
    reads = {name: {artefact.name for artefact in stage.reads()} for name, stage in stages.items()}

    def needed_by(helper: str) -> list[str]:
        """Stages that were asked for and read it, by themselves or through other helpers."""
        readers: dict[str, None] = {}
        for name, stage in stages.items():
            if helper in reads[name]:
                readers |= dict.fromkeys(needed_by(name) if stage.is_helper else [name])
        return [name for name in stages if name in readers]

    waiting: dict[tuple[str, ...], list[str]] = {}
    for name, stage in stages.items():
        is_missing = any(plan.todo(name, scene) for scene in plan.scenes)
        if stage.is_helper and is_missing and name != Images.name:
            waiting.setdefault(tuple(needed_by(name)), []).append(name)
    parts = [
        f"{', '.join(helpers)} for {', '.join(readers)}" if readers else ", ".join(helpers)
        for readers, helpers in waiting.items()
    ]
    return f"also runs {'; '.join(parts)}" if parts else None
