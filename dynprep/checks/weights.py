"""The weights of a network: where they are, under which licence, and whether they fit."""

import os
from collections.abc import Callable
from pathlib import Path

from dynprep.backends.network import Network
from dynprep.checks.line import Line, Mark
from dynprep.errors import UserError
from dynprep.files import human_bytes

_BYTES = 4  # of a parameter, as most are published


def about_weights(
    stage: Network, about: str, download: bool, say: Callable[[str], None]
) -> list[Line]:
    """Whether the weights are here and fit.

    download: whether they are fetched where they are absent; say: shows a line meanwhile.
    """
    licence = f"licence {stage.licence}" + ("" if stage.commercial else ", not for commercial use")
    try:
        if download or stage.checkpoint is not None:
            stage.fetch(say)
    except UserError as error:
        return [Line(about, Mark.WRONG, str(error))]
    try:
        place = stage.location().place()
    except UserError:
        size = human_bytes(int((stage.parameters or 0) * 1e6 * _BYTES))
        text = (
            f"weights are not on this machine: a run downloads about {size} of {stage.hub}, {licence}; "
            "dynprep check --download fetches them"
        )
        return [Line(about, Mark.OPEN, text)]
    try:
        remarks = stage.inspect()
    except UserError as error:
        return [Line(about, Mark.WRONG, str(error))]
    where = os.path.relpath(place) if stage.checkpoint else f"{stage.hub}@{place.name[:7]}"
    fit = Line(about, Mark.OK, f"weights {where} fit, {licence}")
    return [fit, *(Line(about, Mark.NOTE, remark) for remark in remarks)]


def pin(stage: Network) -> str | None:
    """The option that keeps a network at the commit that is on this machine; None for a local copy or no weights."""
    if stage.checkpoint is not None:
        return None
    try:
        place: Path = stage.location().place()
    except UserError:
        return None
    return f"{stage.group}.revision={place.name}"
