"""A multirun from above: follows its jobs, whoever launched them, and sums them up when all have ended."""

import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.live import Live
from rich.text import Text

from dynprep import job_labels, stopping
from dynprep.durations import duration
from dynprep.errors import WARNING, printable
from dynprep.foreign import Malformed, read_json
from dynprep.latest import point_to_latest
from dynprep.record_shape import RecordShape
from dynprep.run_file import DONE, FAILED, JOB_LOG, MARK, RUN_FILE, RUNNING, STOPPED, find_runs

_LOOK_EVERY = 1.0  # seconds
_IN_PROCESS = "BasicLauncher"


def in_process(launcher: str) -> bool:
    """Whether a launcher runs jobs in the program's own process, one after the other."""
    return launcher.endswith(_IN_PROCESS)


@dataclass
class Sweep:
    """The multirun that this process started.

    folder: where it lies; in_parallel: whether its jobs run in other processes; reported: names of jobs whose end
    was printed; live: the lines of running jobs, where somebody watches; warned: warnings of jobs that were passed on.
    """

    folder: Path
    in_parallel: bool
    reported: set[str] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)
    watcher: threading.Thread | None = None
    live: Live | None = None
    warned: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Remember when it began; follow jobs that run elsewhere."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MARK).touch()
        if self.in_parallel:
            if sys.stderr.isatty():
                self.live = Live(console=Console(stderr=True, highlight=False), transient=True)
                self.live.start()
            self.watcher = threading.Thread(target=self._watch, daemon=True)
            self.watcher.start()

    def end(self) -> None:
        """Stop following."""
        self.ended.set()
        if self.watcher is not None:
            self.watcher.join()
        if self.live is not None:
            self.live.stop()
            self.live = None

    @property
    def began(self) -> int:
        """When it began, in nanoseconds as files' times are."""
        return (self.folder / MARK).stat().st_mtime_ns

    def records(self) -> dict[str, Mapping[str, Any]]:
        """Records of this sweep's jobs by folder, in order; one that still says that it is
        running belongs to a job that was killed, once all have ended."""
        records = {}
        for folder in find_runs(self.folder):
            path = folder / RUN_FILE
            try:
                if path.stat().st_mtime_ns >= self.began:
                    name = str(folder.relative_to(self.folder))
                    records[name] = read_json(path, RecordShape)
            except (OSError, Malformed):  # gone, or on a file system that shows halves
                continue
        return records

    def _watch(self) -> None:
        while not self.ended.wait(_LOOK_EVERY):
            self.tell()

    def tell(self) -> None:
        """Say which jobs ended since the last time, and where people watch, where the others are."""
        records = self.records()
        for name, record in records.items():
            if record["status"] == RUNNING:
                self.reported.discard(name)  # it was stopped, and its cluster began it again
            if name in self.reported:
                continue
            self._pass_on_warnings(name)
            if record["status"] == RUNNING:
                continue
            self.reported.add(name)
            if record["status"] == FAILED:
                self._print(f"dynprep: {_title(record)} failed: {_words(record)}")
            else:
                how = _how(record) if record["status"] == DONE else "stopped"
                self._print(f"{_label(record)} {how}, {record['seconds']:.1f} s")
        if self.live is not None:
            running = [(n, r) for n, r in records.items() if r["status"] == RUNNING]
            lines = [self._line(n, r) for n, r in running]
            if (sum_up := self._sum_up(records)) is not None:
                lines.append(Text(sum_up, style="cyan"))
            self.live.update(Text("\n").join(lines))

    def _sum_up(self, records: Mapping[str, Mapping[str, Any]]) -> str | None:
        """Such as ``412 scenes in 26 of 64 jobs, 3 failed, 1 h 12 min left``; None before a job of several ended."""
        ended = [r for r in records.values() if r["status"] == DONE]
        scenes = sum(len(record.get("sizes", {})) for record in ended)
        count = job_labels.announced_count()
        if scenes <= len(ended) or not count:
            return None
        failed = sum(len(record.get("failed", {})) for record in ended)
        passed = time.time() - self.began / 1e9
        left = duration(passed / len(ended) * (count - len(ended)))
        shown = f", {failed} failed" if failed else ""
        return f"{scenes} scenes in {len(ended)} of {count} jobs{shown}, {left} left"

    def _pass_on_warnings(self, name: str) -> None:
        """Print what a job warns of, such as a licence, once for all jobs that do."""
        for line in self._said(name):
            if line.startswith(WARNING) and line not in self.warned:
                self.warned.add(line)
                self._print(line)

    def _said(self, name: str) -> list[str]:
        """What a job has said so far, in lines; nothing where it has not begun to speak."""
        try:
            return (self.folder / name / JOB_LOG).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []

    def _line(self, name: str, record: Mapping[str, Any]) -> Text:
        """A running job: what it is called, and the last that it said; cut to the terminal's width."""
        lines = self._said(name)
        last = " ".join(lines[-1].split()) if len(lines) > 1 else "begins"
        text = Text(printable(f"{_label(record)}: {last}"))
        text.truncate(Console(stderr=True).width, overflow="ellipsis")
        return text

    def _print(self, text: str) -> None:
        if self.live is not None:
            self.live.console.print(Text(printable(text)), soft_wrap=True)
        else:
            print(printable(text), file=sys.stderr, flush=True)


def _label(record: Mapping[str, Any]) -> str:
    return job_labels.label(record.get("job") or 0, record["overrides"])


def _how(record: Mapping[str, Any]) -> str:
    """``done``, or how many of a job's scenes are."""
    complete, failed = len(record.get("sizes", {})), len(record.get("failed", {}))
    return f"made {complete} of {complete + failed} scenes" if failed else "done"


def _title(record: Mapping[str, Any]) -> str:
    return job_labels.title(record.get("job") or 0)


def _words(record: Mapping[str, Any]) -> str:
    return " ".join(str(record["failure"]).split())


def tell_failed(title: str, failure: str) -> None:
    """Print on standard error that a job failed, and why."""
    line = printable(" ".join(failure.split()))
    print(f"dynprep: {title} failed: {line}", file=sys.stderr, flush=True)


def unfinished(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """By job's title and folder: why it is not done."""
    why = {}
    for name, record in records.items():
        title = f"{_title(record)} (folder {name})"
        if record["status"] == FAILED:
            why[title] = _words(record)
        elif record["status"] == STOPPED:
            why[title] = "stopped"
        elif record["status"] == RUNNING:
            why[title] = "ended without a word; was it killed, or out of memory?"
    return why


_current: list[Sweep] = []


def current() -> Sweep | None:
    """The multirun that this process started, if it did."""
    return _current[-1] if _current else None


class Announce(Callback):  # type: ignore[misc]
    """Hydra tells it, in the process that launches jobs, where the multirun lies.

    How a multirun ends is not announced when a job failed, so the command line asks ``current`` itself.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        launcher = str(config.hydra.launcher._target_)
        sweep = Sweep(Path(str(config.hydra.sweep.dir)).absolute(), not in_process(launcher))
        # as they were typed: what they refer to is each job's own
        typed: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
        job_labels.announce(typed, sweeper)
        stopping.announce_main()
        _current.append(sweep)
        sweep.begin()
        point_to_latest(sweep.folder)
