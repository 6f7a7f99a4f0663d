"""The group ``logger``, the nodes ``report`` and ``compare``: where pictures and numbers go, and how many."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from dynprep.errors import UserError
from dynprep.options import AtLeastOne, Range


@dataclass
class LoggerOptions:
    """The group ``logger``.

    kind, mode, project, group: which logger, and how W&B is used; samples: frames of each stage that are written as
    pictures; scenes: whose pictures and videos are written, at most; video_frames: of each video, at most; points: of
    point clouds; artifact: whether datasets are described in W&B as artifacts; rerun: whether there is a Rerun
    recording.
    """

    kind: Literal["wandb", "csv", "none"]
    mode: Literal["online", "offline", "disabled"]
    project: str
    group: str | None
    samples: AtLeastOne
    scenes: AtLeastOne
    video_frames: AtLeastOne
    points: Annotated[int, Range(least=100)]
    artifact: bool
    rerun: bool


@dataclass(frozen=True)
class ReportOptions:
    """The node ``report``: whether there is a page, frames of its player, pixels across its pictures, points of what
    stands still in its view in 3D, at most each."""

    page: bool
    frames: AtLeastOne
    width: Annotated[int, Range(least=32)]
    points: Annotated[int, Range(least=100)]


@dataclass(frozen=True)
class CompareOptions:
    """The node ``compare``: whether there is a page, frames of it at most, pixels across its pictures."""

    page: bool
    frames: AtLeastOne
    width: Annotated[int, Range(least=32)]


def check_logger(options: LoggerOptions) -> None:
    """Raise UserError, before any work, if W&B is to be online and nobody is logged in, or a package that is asked for
    is missing."""
    if options.rerun:
        from dynprep.report.recording import need_rerun

        need_rerun()
    if options.kind != "wandb" or options.mode != "online" or os.environ.get("WANDB_API_KEY"):
        return
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if not netrc.is_file() or "wandb" not in netrc.read_text():
        raise UserError(
            "logger.mode=online: no W&B account is known here; run `wandb login`, set WANDB_API_KEY, "
            "or leave logger.mode=offline"
        )
