"""What differs between runs, and what is worth a column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynprep.compare.entries import Entry
from dynprep.errors import UserError, nearest
from dynprep.metrics.names import direction

# settings that say where things go or how fast, not what comes out
_ASIDE = {"dataset_dir", "store_dir", "logger", "report", "compare", "store", "hydra", "experiment"}
# metrics that come first where there is little room
_FIRST = ("absrel", "J", "AJ", "delta_avg", "opw", "residual", "mean_px")


NOISE = 0.01  # share of a score that is not worth a word
_NOISE_OF_COSTS = 0.1  # of seconds and memory, which differ from run to run


@dataclass(frozen=True)
class Column:
    """A name, and a value for each entry, None where an entry has none.

    better: 1 where high values are, -1 where low ones are, 0 where neither; noise: the difference, as a share of the
    greatest value, up to which values are taken as equal.
    """

    name: str
    values: list[float | str | None]
    better: int = 0
    noise: float = NOISE

    def best(self) -> set[int]:
        """Rows with the best value, or one that differs by noise; none where all do or nothing is better."""
        numbers = {k: v for k, v in enumerate(self.values) if isinstance(v, int | float)}
        if not self.better or len(numbers) < 2:
            return set()
        top = max(v * self.better for v in numbers.values())
        room = self.noise * max(abs(v) for v in numbers.values())
        rows = {k for k, v in numbers.items() if v * self.better >= top - room}
        return rows if len(rows) < len(numbers) else set()


def differing(entries: Sequence[Entry]) -> list[Column]:
    """Settings in which the entries differ: groups by choice, then options of
    groups whose choice is the same, and options that were set on the command line."""
    columns = []
    if len({e.scene for e in entries}) > 1:
        columns.append(Column("scene", [e.scene for e in entries]))
    choices = [e.record["choices"] for e in entries]
    options = [_flat(e.record["config"]) for e in entries]
    groups = sorted({g for c in choices for g in c if "/" not in g and g not in _ASIDE})
    for group in groups:
        column = _column(group, [c.get(group) for c in choices])
        if column is not None:
            columns.append(column)
    split = {c.name for c in columns}
    overridden = {o.split("=")[0].lstrip("+~") for e in entries for o in e.record["overrides"]}
    for name in sorted({n for o in options for n in o}):
        group = name.split(".")[0]
        if group in _ASIDE or name.endswith("_target_") or name in split:
            continue
        if group in split and name not in overridden:
            continue  # comes with the choice
        column = _column(name, [o.get(name) for o in options])
        if column is not None:
            columns.append(column)
    return columns


def costs(entries: Sequence[Entry]) -> list[Column]:
    """Seconds, memory, parameters."""
    rows = [e.costs() for e in entries]
    names = list(rows[0]) if rows else []
    columns = [Column(n, [r[n] for r in rows], direction(n), _NOISE_OF_COSTS) for n in names]
    return [c for c in columns if any(c.values)]


def metrics(entries: Sequence[Entry]) -> list[Column]:
    """Every score that an entry has."""
    rows = [e.scores() for e in entries]
    names = list(dict.fromkeys(n for row in rows for n in row))
    return [Column(n, [row.get(n) for row in rows], direction(n)) for n in names]


def first(columns: Sequence[Column]) -> list[Column]:
    """Those that differ, most telling ones first: each stage's error before its details."""
    telling = [c for c in columns if len(set(c.values)) > 1]

    def rank(column: Column) -> int:
        words = set(column.name.split("/"))
        return next((k for k, name in enumerate(_FIRST) if name in words), len(_FIRST))

    return sorted(telling, key=rank)


def named(wanted: str, columns: Sequence[Column]) -> list[Column]:
    """The columns that a word of the command line names: the one of this name, or all whose names begin with it.

    Raises UserError where there is none.
    """
    chosen = [c for c in columns if c.name == wanted or c.name.startswith(f"{wanted}/")]
    if not chosen:
        known = [c.name for c in columns]
        raise UserError(f"--columns: there is no column {wanted}; {nearest(wanted, known)}")
    return chosen


def _column(name: str, values: list[Any]) -> Column | None:
    texts: list[float | str | None] = ["" if v is None else str(v) for v in values]
    return Column(name, texts) if len(set(texts)) > 1 else None


def _flat(node: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    return flat
