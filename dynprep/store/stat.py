"""How many results a store holds, counted without reading any."""

import os
from dataclasses import dataclass

from dynprep.store.result import SEAL
from dynprep.store.store import LOCKS, REFERENCES, Store, is_key


@dataclass(frozen=True)
class StageCount:
    """Results of a stage: those that are sealed, and those that are not."""

    complete: int
    unfinished: int


def counts(store: Store) -> dict[str, StageCount]:
    """Results by stage, by one look at each result's folder."""
    by_stage = {}
    with os.scandir(store.root) as stages:
        names = sorted(e.name for e in stages if e.is_dir(follow_symlinks=False))
    for name in names:
        if name in (LOCKS, REFERENCES):
            continue
        sealed = total = 0
        with os.scandir(store.root / name) as results:
            for entry in results:
                if is_key(entry.name):
                    total += 1
                    sealed += os.path.lexists(f"{entry.path}/{SEAL}")
        if total:
            by_stage[name] = StageCount(sealed, total - sealed)
    return by_stage


def users(store: Store) -> int:
    """How many runs the store has notes of."""
    folder = store.root / REFERENCES
    return sum(name.endswith(".json") for name in os.listdir(folder)) if folder.is_dir() else 0
