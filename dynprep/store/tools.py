"""What a store holds, what uses it, and what may be removed."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import TEMPORARY
from dynprep.foreign import read_json
from dynprep.links import place, resolve_link
from dynprep.store.index import Row, read_rows, stamp, write_rows
from dynprep.store.locks import Busy
from dynprep.store.recipe import Recipe
from dynprep.store.references import (
    PROVENANCE,
    ProvenanceShape,
    Reference,
    references,
    remember,
)
from dynprep.store.result import BEGINNING, SEAL, Result
from dynprep.store.seal import read_beginning, read_seal
from dynprep.store.store import LOCKS, REFERENCES, Store, is_key, is_result_folder

_FRESH = 3600.0  # seconds: what was written since may belong to a run that is under way


@dataclass(frozen=True)
class StoredResult:
    """One result in the store.

    bytes: of its files, as its seal says where it is complete; is_complete: sealed; is_view: shows other results, and
    goes when one of those goes; made: when, in seconds since 1970; users: runs and datasets that name it directly.
    """

    stage: str
    key: str
    folder: Path
    bytes: int
    is_complete: bool
    is_view: bool
    made: float
    backend: str
    inputs: tuple[tuple[str, str], ...]
    users: tuple[str, ...]


def contents(store: Store) -> list[StoredResult]:
    """Every result in the store, oldest first."""
    users: dict[tuple[str, str], list[str]] = {}
    for reference in references(store).values():
        if reference.alive():
            for name in reference.names():
                users.setdefault(name, []).append(reference.run)
    known = read_rows(store.root)
    new: dict[tuple[str, str], Row] = {}
    results = []
    for stage, folder in _result_folders(store):
        name = stage, folder.name
        row = kept = known.get(name)
        try:
            status = os.stat(folder / SEAL)
            if row is None or row.stamp != stamp(status):
                row = _row(stage, folder, status)
        except OSError:
            row = None
        if row is None:
            stored = _unfinished(stage, folder, users.get(name, []))
            results += [stored] if stored is not None else []
            continue
        known.pop(name, None)
        if row is not kept:
            new[name] = row
        complete = row.bytes, True, row.is_view, status.st_mtime, row.backend, row.inputs
        results.append(
            StoredResult(stage, folder.name, folder, *complete, tuple(users.get(name, [])))
        )
    write_rows(store.root, new, set(known))
    return sorted(results, key=lambda r: r.made)


def _result_folders(store: Store) -> Iterator[tuple[str, Path]]:
    """Stage and folder of everything in the store that is called like a result, and is no link."""
    with os.scandir(store.root) as entries:
        stages = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    for stage in stages:
        if stage in (LOCKS, REFERENCES):
            continue
        with os.scandir(store.root / stage) as entries:
            names = sorted(
                e.name for e in entries if is_key(e.name) and e.is_dir(follow_symlinks=False)
            )
        for name in names:
            yield stage, store.root / stage / name


def _row(stage: str, folder: Path, status: os.stat_result) -> Row | None:
    """What a complete result's seal says; None where it is not that stage's, or has another key."""
    seal = read_seal(folder / SEAL, stage, folder.name)
    if seal is None:
        return None
    size = status.st_size + sum(size for size, _ in seal.files.values())
    inputs = tuple(sorted(seal.recipe.inputs.items()))
    is_view = bool(seal.facts.get("view"))
    return Row(stamp(status), size, is_view, seal.recipe.backend, inputs)


def _unfinished(stage: str, folder: Path, users: list[str]) -> StoredResult | None:
    """A result that was begun; None where nothing says that it is that stage's and has that key."""
    if not is_result_folder(folder):
        return None
    begun = read_beginning(folder / BEGINNING, stage, folder.name)
    if begun is None:
        return None
    inputs = tuple(sorted(Recipe(**begun["recipe"]).inputs.items()))
    made = folder.stat().st_mtime
    size = _size(folder)
    return StoredResult(
        stage, folder.name, folder, size, False, False, made, "", inputs, tuple(users)
    )


def _size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    size = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a temporary name, renamed meanwhile
            size += 0 if file.is_dir() else file.stat().st_size
    return size


def unused(store: Store) -> list[StoredResult]:
    """Results that no run or dataset that is still there refers to, and views of such results;
    unfinished ones too, unless something wrote to them in the last hour."""
    return unused_of(contents(store))


def unused_of(everything: Sequence[StoredResult]) -> list[StoredResult]:
    """As ``unused``, of all results of a store."""
    used = {k.key for k in everything if k.users}
    gone = []
    for stored in everything:
        if stored.users:
            continue
        if not stored.is_complete and time.time() - _newest(stored.folder) < _FRESH:
            continue
        shown = {key for name, key in stored.inputs if not name.startswith("file:")}
        if stored.is_view and shown and shown <= used:
            continue
        gone.append(stored)
    return gone


def _newest(folder: Path) -> float:
    times = [folder.stat().st_mtime]
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a temporary name, renamed meanwhile
            times.append(path.stat().st_mtime)
    return max(times)


def remove(
    store: Store, shown: list[StoredResult]
) -> tuple[list[StoredResult], list[StoredResult]]:
    """Remove results and notes of runs that are gone; of those ``shown`` only what still nobody
    uses. Returns what left the store, and what was left alone because somebody came to use it.

    A dataset's hard links keep their bytes: nothing outside of the store is touched."""
    with store.gate():  # no run decides meanwhile what it will use
        return _remove(store, shown)


def _remove(
    store: Store, shown: list[StoredResult]
) -> tuple[list[StoredResult], list[StoredResult]]:
    still = {k.folder for k in unused(store)}
    busy = [stored for stored in shown if stored.folder not in still]
    gone = []
    for stored in (k for k in shown if k.folder in still):
        try:
            with store.lock_named(stored.stage, stored.key).hold(wait=False):
                away = stored.folder.with_name(f"{TEMPORARY}gone-{stored.key}")
                os.replace(stored.folder, away)  # at once: half a result must not be found
                shutil.rmtree(away)
        except Busy:
            busy.append(stored)
            continue
        gone.append(stored)
    for path, reference in references(store).items():
        if not reference.alive():
            path.unlink(missing_ok=True)
    return gone, busy


def verify(store: Store, tell: Callable[[str], None]) -> int:
    """Re-hash every file of every complete result, and return how many items are damaged.

    tell: is called for each item that is not as it was written. A run that needs such an item makes it again.
    """
    damaged = 0
    for stored in contents(store):
        if not stored.is_complete:
            continue
        result = store.open_result(stored.stage, stored.key)
        for name in sorted(result.items().keys() - result.valid_items().keys()):
            damaged += 1
            tell(f"{result.folder}: item {name} is not as it was written")
    return damaged


def export(store: Store, run: Path, scene: str, target: Path) -> tuple[int, int]:
    """Copy what a run used for a scene into another store, at ``target``, by hard link where that
    can be; there it counts as used. Returns results and bytes. Raises UserError where the run or
    scene is not known, or a result is gone.

    run: its folder, that of its datasets, or one scene's dataset."""
    reference = _reference_of(store, run, scene)
    if scene not in reference.results:
        scenes = ", ".join(sorted(reference.results))
        raise UserError(f"{run}: has no scene '{scene}'; there is {scenes}")
    other = Store(target)
    if other.root == store.root:
        raise UserError(f"{target}: is this store itself; name another folder")
    count = size = 0
    with other.gate():
        for stage, key in reference.results[scene].items():
            if stage != "images" and not (store.root / stage / key / SEAL).exists():
                continue  # a helper that nobody needed that time
            copied = copy_result(store.open_result(stage, key), other)
            count, size = count + (copied > 0), size + copied
        used = {scene: reference.results[scene]}
        remember(other, Path(reference.run), reference.started, target, used, pinned=True)
    return count, size


def complete_results(store: Store) -> Iterator[Result]:
    """Every result of a store that is sealed."""
    for stage in sorted(p for p in store.root.iterdir() if p.is_dir() and not p.is_symlink()):
        if stage.name in (LOCKS, REFERENCES):
            continue
        for folder in sorted(filter(is_result_folder, stage.iterdir())):
            if read_seal(folder / SEAL, stage.name, folder.name) is not None:
                yield store.open_result(stage.name, folder.name)


def copy_result(result: Result, other: Store) -> int:
    """Copy a result into another store, by hard link where that can be. Returns the bytes; 0 where it was there."""
    folder = other.result(result.recipe).folder
    if (folder / SEAL).exists():
        return 0
    with other.lock(result).hold():
        away = folder.with_name(f"{TEMPORARY}{folder.name}")
        away.mkdir(parents=True, exist_ok=True)
        for name in _files(result):
            place(result.folder / name, away / name, resolve_link("auto"))
        if folder.exists():  # of a run that was stopped there
            shutil.rmtree(folder)
        os.replace(away, folder)
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _reference_of(store: Store, run: Path, scene: str) -> Reference:
    """The note of the run that ``run`` names; of several in one folder the last."""
    given = run.absolute()
    wanted: float | None = None
    for dataset in (given, given / scene):
        with contextlib.suppress(OSError):
            wanted = read_json(dataset / PROVENANCE, ProvenanceShape)["run"]["started"]
    matching = [
        r
        for r in references(store).values()
        if (r.started == wanted if wanted is not None else Path(r.run) == given)
    ]
    if not matching:
        raise UserError(f"{run}: no run that uses this store; see dynprep store ls")
    return max(matching, key=lambda r: (scene in r.results, r.started))


def _files(result: Result) -> Iterator[str]:
    for item in result.items().values():
        yield from item.files
    yield SEAL
