"""The list of every backend that can be chosen: ``python run.py --info backends``."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from dynprep.config.typed import locate

_GROUPS = ("masks", "metric_depth", "depth", "prior", "flow")
_NARROWEST = 80


def show_backends(conf: Path) -> None:
    """Print a table for each group of backends: what they give, sizes, licences, weights."""
    console = Console(highlight=False)
    console.width = max(console.width, _NARROWEST)
    for group in _GROUPS:
        rows = [(path.stem, _read(path)) for path in sorted((conf / group).glob("*.yaml"))]
        kinds = [cls for _, node in rows if (cls := _kind(node, group)) is not None]
        table = Table(box=None, padding=(0, 1, 0, 0), title_justify="left")
        table.title = f"{group}: {kinds[0].gives}"
        table.add_column(group, no_wrap=True)
        table.add_column("million", justify="right", no_wrap=True)
        table.add_column("licence", no_wrap=True)
        table.add_column("weights", overflow="fold")
        for choice, node in rows:
            size = f"{node['parameters']:g}" if "parameters" in node else "-"
            licence = node.get("licence", "-")
            table.add_row(choice, size, licence, node.get("hub", "no network"))
        console.print(table)
        console.print()


def _read(path: Path) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(node, dict)
    return {str(k): v for k, v in node.items()}


def _kind(node: dict[str, Any], group: str) -> Any:
    target = node["_target_"]
    path = target[0] if isinstance(target, list) else target
    return locate(path, group) if path else None
