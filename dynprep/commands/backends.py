"""``dynprep backends``: every backend that can be chosen, with what it gives, size, licence and weights."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from dynprep.conf_folder import choices_of, conf_folders, read_choice
from dynprep.config.typed import TARGET, locate
from dynprep.errors import UserError
from dynprep.stages.base import Stage

_NARROWEST = 80


def main(arguments: Sequence[str]) -> int:
    """Print a table for each group of backends, and return the exit status."""
    if arguments:
        raise UserError(f"backends takes no arguments: leave out {' '.join(arguments)}")
    console = Console(highlight=False)
    console.width = max(console.width, _NARROWEST)
    folders = conf_folders()
    for group in sorted({p.name for folder in folders for p in folder.iterdir() if p.is_dir()}):
        nodes = {name: read_choice(path) for name, path in choices_of(group, folders).items()}
        kind = _kind(group, nodes)
        if kind is not None:
            _print_group(console, f"{group}: {kind.makes.what}", group, nodes)
    return 0


def _kind(group: str, nodes: dict[str, dict[str, Any]]) -> type[Stage] | None:
    """The class of a group's backends; None for a group that chooses something else."""
    for node in nodes.values():
        if isinstance(node.get(TARGET), str):
            cls = locate(node[TARGET], group)
            return cls if issubclass(cls, Stage) and not cls.is_helper else None
    return None


def _print_group(
    console: Console, title: str, group: str, nodes: dict[str, dict[str, Any]]
) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column(group, no_wrap=True)
    table.add_column("million", justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("weights", overflow="fold")
    for choice, node in sorted(nodes.items()):
        size = f"{node['parameters']:g}" if "parameters" in node else "-"
        # "not stated; …" in short: the whole is said when the backend is chosen
        licence = node.get("licence", "-").partition(";")[0]
        table.add_row(choice, size, licence, node.get("hub", "no network"))
    console.print(title, style="italic")
    console.print(table)
    console.print()
