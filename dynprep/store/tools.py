"""What a store holds, what uses it, and what may go."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from dynprep.errors import UserError
from dynprep.files import TEMPORARY, link
from dynprep.store.recipe import Recipe
from dynprep.store.references import FOLDER, Reference, references
from dynprep.store.result import SEAL, Result
from dynprep.store.store import LOCKS, Store

# made from other results for looking at: they go when one of those goes
VIEWS = ("scores", "media", "agreement")
_FRESH = 3600.0  # seconds: what was written since may belong to a run that is under way


@dataclass(frozen=True)
class Kept:
    """One result in the store. bytes on disk; whole: sealed; users: runs and datasets that name
    it, directly."""

    stage: str
    key: str
    folder: Path
    bytes: int
    whole: bool
    made: float
    backend: str
    inputs: tuple[tuple[str, str], ...]
    users: tuple[str, ...]


def contents(store: Store) -> list[Kept]:
    """Every result, oldest first."""
    users: dict[tuple[str, str], list[str]] = {}
    for reference in references(store).values():
        if reference.alive():
            for name in reference.names():
                users.setdefault(name, []).append(reference.run)
    found = []
    for stage in sorted(p for p in store.root.iterdir() if p.is_dir()):
        if stage.name in (LOCKS, FOLDER):
            continue
        for folder in sorted(p for p in stage.iterdir() if p.is_dir()):
            found.append(_kept(stage.name, folder, users.get((stage.name, folder.name), [])))
    return sorted(found, key=lambda k: k.made)


def _kept(stage: str, folder: Path, users: list[str]) -> Kept:
    seal = Result(folder, Recipe(stage, 0, "")).seal()
    recipe = (seal or {}).get("recipe", {})
    inputs = tuple(sorted(recipe.get("inputs", {}).items()))
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    path = folder / SEAL if seal else folder
    made = path.stat().st_mtime
    backend = str(recipe.get("backend", "")).rpartition(".")[2]
    return Kept(stage, folder.name, folder, size, bool(seal), made, backend, inputs, tuple(users))


def unused(store: Store) -> list[Kept]:
    """Results that no run or dataset that is still there refers to, and views of such results;
    unfinished ones too, unless something wrote to them in the last hour."""
    everything = contents(store)
    used = {k.key for k in everything if k.users}
    gone = []
    for kept in everything:
        recent = time.time() - _newest(kept.folder) < _FRESH
        if kept.users or (recent and not kept.whole):
            continue
        shown = {key for name, key in kept.inputs if not name.startswith("file:")}
        if kept.stage in VIEWS and shown and shown <= used:
            continue
        gone.append(kept)
    return gone


def _newest(folder: Path) -> float:
    return max(p.stat().st_mtime for p in [folder, *folder.iterdir()])


def remove(store: Store, results: list[Kept]) -> tuple[int, list[Kept]]:
    """Remove results and notes of runs that are gone. Returns the bytes that left the store, and
    results that were left alone because somebody is writing them.

    A dataset's hard links keep their bytes: nothing outside of the store is touched."""
    freed, busy = 0, []
    for kept in results:
        try:
            with store.lock_named(kept.stage, kept.key).acquire(timeout=0):
                away = kept.folder.with_name(f"{TEMPORARY}gone-{kept.key}")
                os.replace(kept.folder, away)  # at once: half a result must not be found
                shutil.rmtree(away)
        except Timeout:
            busy.append(kept)
            continue
        freed += kept.bytes
    for path, reference in references(store).items():
        if not reference.alive():
            path.unlink(missing_ok=True)
    return freed, busy


def verify(store: Store, tell: Callable[[str], None]) -> int:
    """Re-hash every file of every whole result, telling each that is not as it was written;
    returns how many are damaged. A damaged item is made again by the next run that needs it and is
    told to look (store.verify=true)."""
    damaged = 0
    for kept in contents(store):
        if not kept.whole:
            continue
        result = store.opened(kept.stage, kept.key)
        for name in sorted(result.items().keys() - result.sound(True).keys()):
            damaged += 1
            tell(f"{result.folder}: item {name} is not as it was written")
    return damaged


def export(store: Store, run: Path, scene: str, target: Path) -> tuple[int, int]:
    """Copy what a run used for a scene into another store, at ``target``, by hard link where that
    can be. Returns results and bytes. Raises UserError where the run or scene is not known, or a
    result is gone."""
    given = run.absolute()
    mine = [r for r in references(store).values() if given in _places(r)]
    if not mine:
        raise UserError(f"{run}: no run that uses this store; see python -m dynprep.store ls")
    scenes = sorted({name for reference in mine for name in reference.results})
    if scene not in scenes:
        raise UserError(f"{run}: has no scene '{scene}'; there is {', '.join(scenes)}")
    count = size = 0
    other = Store(target)
    for stage, key in mine[-1].results[scene].items():
        result = store.opened(stage, key)
        folder = other.root / stage / key
        if (folder / SEAL).exists():
            continue
        away = folder.with_name(f"{TEMPORARY}{key}")
        for item in _files(result):
            away.mkdir(parents=True, exist_ok=True)
            link(result.folder / item, away / item)
            size += (away / item).stat().st_size
        os.replace(away, folder)
        count += 1
    return count, size


def _places(reference: Reference) -> list[Path]:
    return [Path(reference.run), *reference.datasets()]


def _files(result: Result) -> Iterator[str]:
    for item in result.items().values():
        yield from item.files
    yield SEAL
