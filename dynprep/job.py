"""How a run was asked for: by itself, or as a job of a multirun."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from dynprep import job_labels
from dynprep.run_file import MARK


@dataclass(frozen=True)
class Job:
    """How a run was asked for.

    overrides: as on the command line; sweep, number: in a multirun its folder and the job's number; in_parallel:
    whether other jobs run at the same time; flags: that the command needs beside them, such as ``--config-dir=X``.
    """

    overrides: tuple[str, ...] = ()
    sweep: Path | None = None
    number: int | None = None
    in_parallel: bool = False
    flags: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that does this job alone."""
        return shlex.join(["dynprep", *self.flags, *self.overrides])

    @property
    def launch(self) -> str | None:
        """What tells this multirun from all others, also from one before in the same folder."""
        if self.sweep is None:
            return None
        mark = self.sweep / MARK
        began = mark.stat().st_mtime_ns if mark.exists() else 0
        return f"{self.sweep.absolute()} {began}"

    @property
    def label(self) -> str:
        """What tells the job from the others of its multirun, such as ``job 2/4 alignment=huber``."""
        return job_labels.label(self.number or 0, self.overrides)

    @property
    def title(self) -> str:
        """Which job of the multirun it is, such as ``job 2/4``."""
        return job_labels.title(self.number or 0)

    @property
    def group(self) -> str | None:
        """The multirun's name: its folder's last two parts."""
        return None if self.sweep is None else os.sep.join(self.sweep.parts[-2:])
