"""The comparison in W&B: one more run of the sweep's group, with the table and the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynprep.compare.columns import Column
from dynprep.compare.entries import Entry


def log(
    logger: Mapping[str, Any],
    folder: Path,
    entries: Sequence[Entry],
    columns: tuple[list[Column], list[Column]],
    page: Path | None,
) -> None:
    """Log the comparison's table and page to W&B, as one more run of the sweep's group.

    logger: options of the group ``logger``; folder: the sweep's; columns: settings and numbers; page: the page's
    path, None without one.
    """
    import wandb

    run = wandb.init(
        project=logger["project"],
        group=logger["group"] or "/".join(folder.parts[-2:]),
        name="comparison",
        job_type="comparison",
        dir=str(folder),
        mode=logger["mode"],
        settings=wandb.Settings(silent=True),
    )
    try:
        everything = [*columns[0], *columns[1]]
        rows = [[e.name, *(c.values[k] for c in everything)] for k, e in enumerate(entries)]
        table = wandb.Table(columns=["run", *(c.name for c in everything)], data=rows)
        panels: dict[str, Any] = {"comparison": table}
        if page is not None:
            panels["page"] = wandb.Html(page.read_text(), inject=False)
        run.log(panels)
    finally:
        run.finish()
