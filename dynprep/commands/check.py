"""``dynprep check [OVERRIDES]``: whether a recipe works on this machine, from its packages to its networks' output."""

import argparse
import json
import math
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dynprep.backends.network import Network
from dynprep.checks.line import Line, Mark
from dynprep.checks.machine import about_machine
from dynprep.checks.options import CheckBounds
from dynprep.checks.recorded import SHIPPED, Recorded
from dynprep.checks.weights import about_weights, pin
from dynprep.config.build import Settings, settings
from dynprep.config.compose import compose_config
from dynprep.errors import UserError, printable
from dynprep.report.options import check_logger
from dynprep.scene.resolution import expected_frames
from dynprep.scene.truth import Truth
from dynprep.store import Store

_USUAL = {"dataset_dir": "outputs/dataset", "store_dir": "outputs/store"}
_WIDTH = 80  # characters of a line where nobody watches
_COLOURS = {Mark.OK: "green", Mark.NOTE: "yellow", Mark.OPEN: "yellow", Mark.WRONG: "red"}


def main(arguments: Sequence[str]) -> int:
    """Print a line for everything that was looked at; the exit status is 0 only if all of it is well."""
    flags, overrides = _parser().parse_known_args(list(arguments))
    if wrong := [word for word in overrides if word.startswith("-")]:
        raise UserError(
            f"check: {wrong[0]} is no option of it; give overrides, such as dynprep check data=video data.path=a.mp4, "
            "and see dynprep check --help"
        )
    chosen = _settings(overrides)
    tables = _tables(flags)
    if flags.pin:
        for option in _pins(chosen):
            print(option)
        return 0
    lines: list[Line] = []
    shown = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    for line in _lines(chosen, overrides, flags, tables):
        lines.append(line)
        if not flags.json:
            _print(shown, line)
    marks = {line.mark for line in lines}
    is_well = not marks & {Mark.WRONG, Mark.OPEN}
    if flags.json:
        report = {"well": is_well, "lines": [_plain(line) for line in lines]}
        print(json.dumps(report, indent=1, allow_nan=False))
    elif Mark.WRONG in marks:
        print("not all is well: see the lines marked wrong")
    elif not is_well:
        print("networks without weights were not run: dynprep check --download fetches them")
    elif flags.quick and _networks(chosen):
        print("all is well, but the networks were not run (--quick)")
    else:
        print("all is well")
    return 0 if is_well else 1


def _plain(line: Line) -> dict[str, Any]:
    """A line for JSON, which does not know what is no number."""
    figures = {
        k: None if isinstance(v, float) and not math.isfinite(v) else v
        for k, v in line.figures.items()
    }
    return {**asdict(line), "figures": figures}


@dataclass(frozen=True)
class _Tables:
    """What outputs are compared with, and where they are recorded."""

    against: Recorded
    record: Recorded | None


def _tables(flags: argparse.Namespace) -> _Tables:
    """The tables that were asked for. Raises UserError, before any work, for a file that cannot be read or written."""
    if flags.against is not None and not flags.against.is_file():
        raise UserError(f"--against {flags.against}: there is no such file")
    against = Recorded.read(flags.against or SHIPPED)
    if flags.record is None:
        return _Tables(against, None)
    try:
        flags.record.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--record {flags.record}: cannot be written ({error.strerror})") from None
    if not os.access(flags.record.parent, os.W_OK):
        raise UserError(f"--record {flags.record}: its folder cannot be written to")
    return _Tables(against, Recorded(flags.record))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dynprep check",
        description="Look whether a recipe works on this machine: packages, devices, memory, disk, weights, and "
        "what every network gives on a few frames of the demo, whose depth is known. Overrides are those of a run.",
        usage="dynprep check [OVERRIDES] [options]",
    )
    flag = parser.add_argument
    flag("--download", action="store_true", help="fetch weights that are not on this machine")
    flag("--quick", action="store_true", help="do not run the networks")
    flag("--json", action="store_true", help="print one JSON object, for reports of faults")
    flag(
        "--pin", action="store_true", help="print the options that keep the weights of this machine"
    )
    flag("--record", metavar="FILE", type=Path, help="write what the networks give to a table")
    flag("--against", metavar="FILE", type=Path, help="compare what they give with such a table")
    return parser


def _settings(overrides: Sequence[str]) -> Settings:
    overridden = [override.partition("=")[0] for override in overrides]
    usual = [f"{k}={Path(v).absolute()}" for k, v in _USUAL.items() if k not in overridden]
    return settings(*compose_config([*overrides, *usual]))


def _pins(chosen: Settings) -> Iterator[str]:
    """``group.revision=COMMIT`` of every network whose weights are from the hub and on this machine."""
    yield from dict.fromkeys(filter(None, map(pin, _networks(chosen).values())))


def _networks(chosen: Settings) -> dict[str, Network]:
    """By stage, the networks that a run of this recipe uses."""
    stages = ((name, chosen.stages[name]) for name in chosen.wanted)
    return {name: stage for name, stage in stages if isinstance(stage, Network)}


def _lines(
    chosen: Settings, overrides: Sequence[str], flags: argparse.Namespace, tables: _Tables
) -> Iterator[Line]:
    check_logger(chosen.logger)
    chosen.trainer.check()
    for line in chosen.ignored_options([o.partition("=")[0] for o in overrides]):
        yield Line("options", Mark.NOTE, line)
    places = {"store_dir": Path(chosen.run.store_dir), "dataset_dir": chosen.dataset_dir}
    networks = _networks(chosen)
    if networks:
        from huggingface_hub import constants

        places["HF_HOME"] = Path(constants.HF_HUB_CACHE)
    yield from about_machine(chosen.trainer, places)
    yield from _about_scenes(chosen)
    ready: dict[str, Network] = {}
    for name, stage in networks.items():
        lines = about_weights(stage, name, flags.download, _say)
        yield from lines
        if all(line.mark in {Mark.OK, Mark.NOTE} for line in lines):
            ready[name] = stage
    if ready and not flags.quick:
        absent = networks.keys() - ready.keys()
        yield from _about_networks(overrides, list(ready), absent, chosen.check, tables)


def _about_scenes(chosen: Settings) -> Iterator[Line]:
    for stage in chosen.wanted_stages:
        try:
            stage.check_stages(chosen.stages)
        except UserError as error:
            yield Line(stage.name, Mark.WRONG, str(error))
    try:
        sources = chosen.data.sources(Store(Path(chosen.run.store_dir).expanduser(), False))
    except UserError as error:
        yield Line("scene", Mark.WRONG, str(error))
        return
    for source in sources:
        try:
            frames = expected_frames(source.probe(), chosen.resolution)
            if source.truth is not None:
                Truth(source.truth).check()
        except UserError as error:
            yield Line("scene", Mark.WRONG, f"{source.name}: {error}")
            continue
        size = f"{frames.width}x{frames.height}"
        yield Line("scene", Mark.OK, f"{source.name}: {len(frames)} frames of {size}")
        for name in chosen.wanted:
            try:
                chosen.stages[name].check(source)
            except UserError as error:
                yield Line(name, Mark.WRONG, str(error))


def _about_networks(
    overrides: Sequence[str],
    names: Sequence[str],
    absent: Collection[str],
    bounds: CheckBounds,
    tables: _Tables,
) -> Iterator[Line]:
    """What the networks give on the demo, whatever the user's own data are.

    names: of stages whose networks have weights; absent: of those whose networks have none.
    """
    import torch

    from dynprep.checks.clip import known_clip
    from dynprep.checks.networks import check_network

    own = [o for o in overrides if not o.lstrip("+~").startswith(("data=", "data."))]
    chosen = _settings([*own, "data=demo", f"data.count={bounds.frames}"])
    kind = chosen.trainer.resolve(1, uses_device=True)["accelerator"]
    device = torch.device("cuda" if kind == "gpu" else kind)
    torch.use_deterministic_algorithms(chosen.trainer.deterministic)  # as in a run
    for name in names:
        wanted = chosen.with_what_it_reads(name)
        if without := sorted(set(absent) & set(wanted)):
            text = f"was not run: it reads {' and '.join(without)}, whose weights are not here"
            yield Line(name, Mark.OPEN, text)
            continue
        with known_clip(
            chosen.data, chosen.resolution, chosen.stages, wanted, chosen.trainer
        ) as clip:
            stage: Any = clip.plan.all_stages[name]
            yield from check_network(
                stage, name, clip, device, bounds, tables.against, tables.record
            )
    if tables.record is not None:
        tables.record.write()
        count = len(tables.record.entries)
        yield Line("record", Mark.OK, f"{count} networks recorded in {tables.record.path}")


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)


def _print(console: Console, line: Line) -> None:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=5)
    table.add_column(width=12)
    table.add_column(overflow="fold")
    mark = Text(line.mark, style=_COLOURS[line.mark])
    table.add_row(mark, printable(line.about), Text(printable(line.text)))
    console.print(table)
