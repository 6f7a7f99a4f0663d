"""The comparison's table: for the terminal, as CSV, as LaTeX."""

import csv
import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dynprep.compare.columns import Column, first, named
from dynprep.compare.entries import Entry
from dynprep.errors import printable

_PLAIN_WIDTH = 80  # when nobody watches
_GAP = 1
_LATEX_COLUMNS = 8  # of a page's width, with the run's name
_WIDEST = 32  # characters of a setting's value


def shown(value: float | str | None) -> str:
    """A value as a person reads it: four digits."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if len(value) <= _WIDEST else f"…{value[1 - _WIDEST :]}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def to_terminal(
    entries: Sequence[Entry], settings: Sequence[Column], numbers: Sequence[Column]
) -> None:
    """As many of the most telling columns as the terminal is wide, on standard error."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=True, width=_PLAIN_WIDTH, highlight=False)
    table = Table(box=None, padding=(0, _GAP, 0, 0), title_justify="left", title="comparison")
    table.add_column("run", no_wrap=True)
    room = console.width - max([3, *(len(e.name) for e in entries)]) - _GAP
    fit: list[Column] = []
    for column in [*settings, *[c for c in numbers if "/" not in c.name], *first(numbers)]:
        if column in fit:
            continue
        title = column.name.replace("/", "\n")
        wide = max(len(w) for w in [*title.split("\n"), *map(shown, column.values)]) + _GAP
        if wide <= room:
            room -= wide
            fit.append(column)
            side = "left" if column in settings else "right"
            table.add_column(title, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for k, entry in enumerate(entries):
        cells = [
            Text(printable(shown(c.values[k])), style="bold green" if k in c.best() else "")
            for c in fit
        ]
        table.add_row(Text(printable(entry.name)), *cells)
    console.print(table)


def to_csv(entries: Sequence[Entry], columns: Sequence[Column]) -> str:
    """Every column, numbers in full."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["run", *(c.name for c in columns)])
    for k, entry in enumerate(entries):
        values = [c.values[k] for c in columns]
        writer.writerow([entry.name, *("" if v is None else v for v in values)])
    return buffer.getvalue()


def to_latex(
    entries: Sequence[Entry],
    settings: Sequence[Column],
    numbers: Sequence[Column],
    wanted: Sequence[str] = (),
) -> str:
    """A table for booktabs, the best in bold.

    wanted: names of columns, as ``columns.named`` takes them; without any, eight at most: the run, what differs, and
    the most telling numbers that do.
    """
    if wanted:
        columns = [c for name in wanted for c in named(name, [*settings, *numbers])]
    else:
        columns = [*settings, *first(numbers)][: _LATEX_COLUMNS - 1]
    sides = "".join("l" if c in settings else "r" for c in columns)
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{l{sides}}}",
        "\\toprule",
        " & ".join(["run", *(_escaped(c.name) + _ARROW[c.better] for c in columns)]) + " \\\\",
        "\\midrule",
    ]
    for k, entry in enumerate(entries):
        cells = [_escaped(shown(c.values[k])) for c in columns]
        bold = [
            f"\\textbf{{{x}}}" if k in c.best() else x for x, c in zip(cells, columns, strict=True)
        ]
        lines.append(" & ".join([_escaped(entry.name), *bold]) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


_ARROW = {1: " $\\uparrow$", -1: " $\\downarrow$", 0: ""}


_SPECIAL = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "_%&#${}"},
        "\\": "\\textbackslash{}",
        "^": "\\textasciicircum{}",
        "~": "\\textasciitilde{}",
    }
)


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)
