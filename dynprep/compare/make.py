"""Makes a comparison: the tables, the page, W&B's table."""

import sys
from collections.abc import Sequence
from pathlib import Path

from dynprep.compare.columns import Column, costs, differing, metrics
from dynprep.compare.entries import Entry, find_entries
from dynprep.compare.table import to_csv, to_latex, to_terminal
from dynprep.config.build import compare_options
from dynprep.files import write_bytes
from dynprep.report.options import CompareOptions

CSV, LATEX, PAGE = "comparison.csv", "comparison.tex", "comparison.html"


def compare_sweep(folder: Path, jobs: Sequence[str]) -> None:
    """Compare the finished jobs of a multirun, in its folder; nothing where none finished."""
    entries, undone = find_entries([folder / job for job in jobs])
    if entries:
        config = entries[0].record["config"]
        page = compare(entries, undone, folder, compare_options(config["compare"]))
        if config["logger"]["kind"] == "wandb" and config["logger"]["mode"] != "disabled":
            from dynprep.compare.wandb_table import log

            log(config["logger"], folder, entries, _columns(entries), page)


def compare(
    entries: Sequence[Entry],
    undone: dict[str, str],
    folder: Path,
    options: CompareOptions,
    columns: Sequence[str] = (),
) -> Path | None:
    """Print the table and write it into ``folder`` as CSV and LaTeX, and the page; returns the page's path.

    columns: of the LaTeX table, by name; without any the most telling ones.
    """
    settings, numbers = _columns(entries)
    latex = to_latex(entries, settings, numbers, columns)
    to_terminal(entries, settings, numbers)
    write_bytes(folder / CSV, to_csv(entries, [*settings, *numbers]).encode())
    write_bytes(folder / LATEX, latex.encode())
    print(f"\ntables      {folder / CSV}, {LATEX}", file=sys.stderr)
    if not options.page:
        return None
    from dynprep.compare.page import write_page

    path = folder / PAGE
    write_page(path, entries, undone, settings, numbers, options)
    print(f"comparison  {path}", file=sys.stderr)
    return path


def _columns(entries: Sequence[Entry]) -> tuple[list[Column], list[Column]]:
    """What differs; costs and scores."""
    return differing(entries), [*costs(entries), *metrics(entries)]
