"""The ``logger`` group."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dynprep.errors import UserError


@dataclass
class LoggerOptions:
    """Where pictures and numbers go."""

    kind: Literal["wandb", "csv", "none"]
    mode: Literal["online", "offline", "disabled"]
    project: str
    group: str | None
    samples: int
    points: int
    report: bool
    rerun: bool

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples is {self.samples}; it must be 1 or more")
        if self.points < 100:
            raise ValueError(f"points is {self.points}; it must be 100 or more")


def ready(options: LoggerOptions) -> None:
    """Raise UserError, before any work, if W&B is to be online and nobody is logged in, or a
    package that is asked for is missing."""
    if options.rerun:
        from dynprep.view.trajectories import need_rerun

        need_rerun()
    if options.kind != "wandb" or options.mode != "online" or os.environ.get("WANDB_API_KEY"):
        return
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if not netrc.is_file() or "wandb" not in netrc.read_text():
        raise UserError(
            "logger.mode=online: no W&B account is known here; run `wandb login`, set WANDB_API_KEY, "
            "or leave logger.mode=offline"
        )
