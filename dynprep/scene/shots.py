"""A source with cuts as several sources, one a shot."""

import hashlib
import json
import sys
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from dynprep.foreign import check
from dynprep.scene.source import Source
from dynprep.store import ItemWriter, Recipe, Store
from dynprep.vision.shots import Change, Thumbnail, change, thumbnail

_FILE = "changes.json"


def split_at_cuts(source: Source, cut: float, cut_likeness: float, store: Store) -> list[Source]:
    """The source's shots, each a scene; the source itself where it has no cut.

    cut, cut_likeness: see ``Change.is_cut``. All frames are decoded once; the store holds how they change.
    """
    known = json.dumps(source.identity(), sort_keys=True).encode()
    recipe = Recipe(
        stage="shots",
        backend="thumbnails",
        inputs={"file:source": hashlib.sha256(known).hexdigest()},
    )
    rows = store.cached(recipe, partial(_write, source)).json(_FILE)
    check(rows, list[list[float]], _FILE)
    firsts = [int(row[0]) for row in rows if Change(*row[1:]).is_cut(cut, cut_likeness)]
    if not firsts:
        return [source]
    bounds = [0, *firsts, sys.maxsize]
    width = len(str(len(firsts)))
    return [
        source.part(first, end, f"{source.name}_shot{k:0{width}d}")
        for k, (first, end) in enumerate(pairwise(bounds))
    ]


def describe_shots(shots: Sequence[Source]) -> str:
    """How many frames each shot has, in words."""
    lengths = ", ".join(f"{shot.name} {shot.probe().count}" for shot in shots)
    return f"{len(shots)} shots, each a scene (frames): {lengths}"


def _write(source: Source, writer: ItemWriter) -> None:
    rows: list[list[float]] = []
    before: Thumbnail | None = None
    for frame in source.frames():
        now = thumbnail(frame.image)
        if before is not None:
            seen = change(before, now)
            rows.append([frame.index, seen.difference, seen.colours, seen.likeness])
        before = now
    writer.json(_FILE, rows)
