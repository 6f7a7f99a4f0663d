"""A multirun from above: follows its jobs, whoever launched them, and sums them up when all have ended."""

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from dynprep import stopping
from dynprep.errors import printable
from dynprep.foreign import Malformed, read_json
from dynprep.record_shape import RecordShape
from dynprep.run_file import FAILED, MARK, RUN_FILE, RUNNING, find_runs

_LOOK_EVERY = 1.0  # seconds
_IN_PROCESS = "BasicLauncher"


def in_process(launcher: str) -> bool:
    """Whether a launcher runs jobs in the program's own process, one after the other."""
    return launcher.endswith(_IN_PROCESS)


@dataclass
class Sweep:
    """The multirun that this process started.

    folder: where it lies; in_parallel: whether its jobs run in other processes; reported: names of jobs whose end
    was printed.
    """

    folder: Path
    in_parallel: bool
    reported: set[str] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)
    watcher: threading.Thread | None = None

    def begin(self) -> None:
        """Remember when it began; follow jobs that run elsewhere."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MARK).touch()
        if self.in_parallel:
            self.watcher = threading.Thread(target=self._watch, daemon=True)
            self.watcher.start()

    def end(self) -> None:
        """Stop following."""
        self.ended.set()
        if self.watcher is not None:
            self.watcher.join()

    def records(self) -> dict[str, Mapping[str, Any]]:
        """Records of this sweep's jobs by folder, in order; one that still says that it is
        running belongs to a job that was killed, once all have ended."""
        began = (self.folder / MARK).stat().st_mtime_ns
        records = {}
        for folder in find_runs(self.folder):
            path = folder / RUN_FILE
            try:
                if path.stat().st_mtime_ns >= began:
                    name = str(folder.relative_to(self.folder))
                    records[name] = read_json(path, RecordShape)
            except (OSError, Malformed):  # gone, or on a file system that shows halves
                continue
        return records

    def _watch(self) -> None:
        while not self.ended.wait(_LOOK_EVERY):
            self.tell()

    def tell(self) -> None:
        """Name jobs that ended since the last time."""
        for name, record in self.records().items():
            if record["status"] == RUNNING or name in self.reported:
                continue
            self.reported.add(name)
            if record["status"] == FAILED:
                tell_failed(name, str(record["failure"]))
            else:
                print(f"job {name} done, {record['seconds']:.1f} s", file=sys.stderr, flush=True)


def tell_failed(job: object, failure: str) -> None:
    """Print on standard error that a job failed, and why."""
    line = printable(" ".join(failure.split()))
    print(f"dynprep: job {job} failed: {line}", file=sys.stderr, flush=True)


def unfinished(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """By job: why it is not done."""
    why = {}
    for name, record in records.items():
        if record["status"] == FAILED:
            why[name] = " ".join(str(record["failure"]).split())
        elif record["status"] == RUNNING:
            why[name] = "ended without a word; was it killed, or out of memory?"
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
        stopping.announce_main()
        _current.append(sweep)
        sweep.begin()
