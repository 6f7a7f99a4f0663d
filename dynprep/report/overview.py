"""Scenes as rows of a table that can be sorted: what is known of each at a glance, and where more is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dynprep.files import write_bytes
from dynprep.metrics.headlines import Figure, figures
from dynprep.run_file import DONE
from dynprep.version import __version__
from dynprep.viewer.page import render

OVERVIEW, RUN_PAGE = "overview.html", "report.html"
SCENES = "report"  # the folder of a run that holds its scenes' pages and small pictures
_TEMPLATE = Path(__file__).with_name("overview.html.j2")
_PART = "data.shard="  # how an override begins that gives a job its part of the scenes
_COLUMNS = 3  # figures that have a column


@dataclass(frozen=True)
class SceneRow:
    """One scene.

    page, picture, dataset: addresses as seen from the table's page, None where there is none; size: frames and pixels;
    figures: by label; findings: what is not good, a line each; failed: why it was left out, None where it was not.
    """

    name: str
    page: str | None
    picture: str | None
    dataset: str | None
    size: str
    figures: Mapping[str, Figure]
    findings: Sequence[str]
    failed: str | None = None

    @property
    def frames(self) -> str:
        """How many frames it has, as a number to sort by."""
        return self.size.partition(" ")[0]


def rows_of_run(run: Path, record: Mapping[str, Any], home: Path) -> list[SceneRow]:
    """The scenes of a run, those that failed first.

    run: its folder; record: ``scores``, ``consistency``, ``verdicts``, ``sizes``, ``failed`` and ``datasets`` of its
    record; home: the folder of the page that shows them.
    """
    scores, others = record.get("scores", {}), record.get("consistency", {})
    datasets = {Path(folder).name: Path(folder) for folder in record.get("datasets", [])}
    rows = [
        SceneRow(name, None, None, None, "", {}, [], reason)
        for name, reason in record.get("failed", {}).items()
    ]
    for name, size in record.get("sizes", {}).items():
        shown = figures({**scores.get(name, {}), **others.get(name, {})})
        folder = datasets.get(name)
        rows.append(
            SceneRow(
                name,
                _address(run / SCENES / f"{name}.html", home) or _address(run / RUN_PAGE, home),
                _address(run / SCENES / f"{name}.jpg", home),
                _address(folder, home) if folder is not None else None,
                size,
                {figure.label: figure for figure in shown},
                record.get("verdicts", {}).get(name, []),
            )
        )
    return rows


def columns(rows: Sequence[SceneRow]) -> list[str]:
    """Labels of the figures that most rows have, at most three."""
    counts: dict[str, int] = {}
    for row in rows:
        for label in row.figures:
            counts[label] = counts.get(label, 0) + 1
    return sorted(counts, key=lambda label: -counts[label])[:_COLUMNS]


def write_overview(folder: Path, records: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the page of all scenes of a multirun whose jobs shared them out; returns its path.

    records: of its jobs, by their folder in ``folder``.
    """
    rows = [
        row for job, record in records.items() for row in rows_of_run(folder / job, record, folder)
    ]
    rows.sort(key=lambda row: row.failed is None)  # what failed first
    undone = {job: record for job, record in records.items() if record["status"] != DONE}
    path = folder / OVERVIEW
    page = render(
        _TEMPLATE,
        name=folder.name,
        rows=rows,
        columns=columns(rows),
        jobs=len(records),
        undone={job: str(record["failure"] or record["status"]) for job, record in undone.items()},
        version=__version__,
    )
    write_bytes(path, page.encode())
    return path


def are_shared_out(records: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the jobs of a multirun had scenes of their own each: then there is nothing to compare."""
    if len(records) < 2 or any(not _is_part(record) for record in records.values()):
        return False
    names = [name for record in records.values() for name in record.get("sizes", {})]
    return len(names) == len(set(names))


def _is_part(record: Mapping[str, Any]) -> bool:
    return any(override.startswith(_PART) for override in record["overrides"])


def _address(path: Path, home: Path) -> str | None:
    """The relative address of what is there, where it lies in the page's own folder, so that both may be moved."""
    path, home = path.absolute(), home.absolute()
    if not path.exists():
        return None
    end = "/" if path.is_dir() else ""
    if path.is_relative_to(home):
        return quote(f"{path.relative_to(home).as_posix()}{end}")
    return path.as_uri() + end
