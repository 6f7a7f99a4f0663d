"""What seals say, kept in one SQLite file beside the results, so that a large store is listed without reading each.

The file may go at any time: what it lacks is read from the results again. A row counts only for the seal that it was
read from, as its times, size and inode tell.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

INDEX = "index.sqlite"  # beside the folders of the stages
_VERSION = 1  # of the table; another one is made anew
_PATIENCE = 2.0  # seconds of waiting for another process that writes
_MAKE = """CREATE TABLE IF NOT EXISTS results (
    stage TEXT, key TEXT, stamp TEXT, bytes INTEGER, is_view INTEGER, backend TEXT, inputs TEXT,
    PRIMARY KEY (stage, key)
) WITHOUT ROWID"""


@dataclass(frozen=True)
class Row:
    """What is kept of a complete result.

    stamp: of the seal that it was read from; bytes: of its files and its seal; is_view, backend, inputs: as
    ``StoredResult`` has them.
    """

    stamp: str
    bytes: int
    is_view: bool
    backend: str
    inputs: tuple[tuple[str, str], ...]


def stamp(status: os.stat_result) -> str:
    """What tells a seal from one that was written in its place."""
    return f"{status.st_mtime_ns} {status.st_ctime_ns} {status.st_size} {status.st_ino}"


def read_rows(root: Path) -> dict[tuple[str, str], Row]:
    """All rows, by stage and key; none where there is no index or it cannot be read."""
    if not (root / INDEX).is_file():
        return {}
    rows: dict[tuple[str, str], Row] = {}
    with contextlib.suppress(sqlite3.Error, ValueError), _open(root) as connection:
        for stage, key, mark, size, is_view, backend, inputs in connection.execute(
            "SELECT * FROM results"
        ):
            pairs = tuple((str(name), str(value)) for name, value in json.loads(inputs))
            rows[stage, key] = Row(mark, size, bool(is_view), backend, pairs)
    return rows


def write_rows(root: Path, new: Mapping[tuple[str, str], Row], gone: set[tuple[str, str]]) -> None:
    """Keep rows that were read anew, and forget those of results that are gone; where that fails, nothing happens."""
    if not new and not gone:
        return
    with contextlib.suppress(sqlite3.Error), _open(root) as connection, connection:
        connection.executemany(
            "REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (*name, r.stamp, r.bytes, int(r.is_view), r.backend, json.dumps(r.inputs))
                for name, r in new.items()
            ],
        )
        connection.executemany("DELETE FROM results WHERE stage = ? AND key = ?", list(gone))


@contextlib.contextmanager
def _open(root: Path) -> Iterator[sqlite3.Connection]:
    """The index, with its table."""
    connection = sqlite3.connect(root / INDEX, timeout=_PATIENCE)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            connection.execute("DROP TABLE IF EXISTS results")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute(_MAKE)
        yield connection
    finally:
        connection.close()
