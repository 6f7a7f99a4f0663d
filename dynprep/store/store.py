"""The folder of all results."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypedDict, get_args

from dynprep.errors import UserError
from dynprep.files import TEMPORARY, write_json
from dynprep.foreign import Malformed, read_json
from dynprep.store.index import INDEX
from dynprep.store.locks import Busy, Lock, LockKind, working_kind
from dynprep.store.recipe import KEY_LENGTH, Recipe
from dynprep.store.result import BEGINNING, SEAL, ItemWriter, Result
from dynprep.store.seal import read_seal
from dynprep.store.verified import forget_all

LOCKS, REFERENCES = "locks", "references"  # folders of the store
MARK = "dynprep-store.json"  # a file that says that a folder is a store
_FORMAT = 1
_ONLY_ITEM = "all"  # of results that have but one
_PATIENCE = 5.0  # seconds of waiting for the gate, after which that is said
_LOOK_EVERY = 0.05  # seconds


class _MarkShape(TypedDict):
    """The mark of a store: version of its format, and the kind of lock that all its users take."""

    format: int
    lock: LockKind


def _say_nothing(line: str) -> None:
    """Show nothing."""


class Store:
    """Results under ``root``/stage/key. Two processes may share it, on several machines too."""

    def __init__(
        self,
        root: Path,
        verify: bool = False,
        may_make: bool = True,
        say: Callable[[str], None] = _say_nothing,
    ) -> None:
        """Open the store in the folder ``root``, or make it.

        verify: forget what this process knows of files, so that all are hashed anew; may_make: whether a store is
        made where there is none; say: shows a line. Raises UserError where there is none and none can be made: in a
        folder that holds other files, too.
        """
        self.root, self._say = root.absolute(), say
        if verify:
            forget_all()
        self.lock_kind = self._open(may_make)

    def _open(self, may_make: bool) -> LockKind:
        path = self.root / MARK
        try:
            mark: _MarkShape = read_json(path, _MarkShape)
            return mark["lock"]
        except FileNotFoundError:
            pass
        except Malformed:  # a power cut: it is written again, as it can only say one thing
            pass
        except OSError as error:
            raise UserError(
                f"store_dir={self.root}: cannot be read ({error.strerror}); choose another store_dir"
            ) from None
        if not may_make and not self._looks_like_one():
            raise UserError(f"{self.root}: no store of dynprep; name the folder store_dir of a run")
        foreign = self._foreign_entry()
        if foreign is not None:
            raise UserError(
                f"store_dir={self.root}: holds other files, e.g. {foreign}, and is no store; choose a new folder, "
                f"such as store_dir={self.root / 'store'}"
            )
        try:
            (self.root / LOCKS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"store_dir={self.root}: cannot be made ({error.strerror}); choose another store_dir"
            ) from None
        kind = working_kind(self.root / LOCKS)
        if kind != get_args(LockKind)[0]:
            self._say(
                f"store_dir={self.root}: flock does not work on its file system, {kind} is used"
            )
        try:
            write_json(path, {"format": _FORMAT, "lock": kind}, durable=True)
        except IsADirectoryError:
            raise UserError(
                f"{path}: is a folder, a file of that name marks a store; remove it"
            ) from None
        return kind

    def _looks_like_one(self) -> bool:
        return self.root.is_dir() and (self.root / LOCKS).is_dir()

    def _foreign_entry(self) -> str | None:
        """The name of something in the folder that a store does not hold; None for an absent or empty one."""
        if not self.root.is_dir():
            return None
        known = (LOCKS, REFERENCES, MARK, INDEX)
        for path in sorted(self.root.iterdir()):
            if path.name in known or path.name.startswith(TEMPORARY):
                continue
            inside = list(path.iterdir()) if path.is_dir() and not path.is_symlink() else [path]
            if not all(is_result_folder(p) or p.name.startswith(TEMPORARY) for p in inside):
                return path.name
        return None

    def result(self, recipe: Recipe) -> Result:
        """The result of a recipe, whether it has been made or not."""
        return Result(self.root / recipe.stage / recipe.key, recipe)

    def cached(
        self,
        recipe: Recipe,
        make: Callable[[ItemWriter], None],
        is_view: bool = True,
        item: str = _ONLY_ITEM,
    ) -> Result:
        """A small result with one item, made on the spot by ``make`` unless it exists.

        is_view: it shows other results, and may go when one of those goes; item: the name of its item.
        """
        result = self.result(recipe)
        if not result.is_complete([item]):
            with self.lock(result).hold():
                if not result.is_complete([item]):
                    started = time.perf_counter()
                    result.begin({})
                    writer = result.writer(item)
                    make(writer)
                    result.add(writer)
                    seconds = time.perf_counter() - started
                    result.close([item], {"seconds": seconds, "view": is_view})
        return result

    @contextmanager
    def gate(self) -> Iterator[None]:
        """Held by whoever decides, from what exists, what will be used or what may be removed."""
        with ExitStack() as held:
            lock = self._lock("gate")
            until: float | None = time.monotonic() + _PATIENCE
            while True:
                try:
                    held.enter_context(lock.hold(wait=False))
                    break
                except Busy:
                    if until is not None and time.monotonic() > until:
                        self._say(
                            f"store_dir={self.root}: another process looks through it, waiting"
                        )
                        until = None
                    time.sleep(_LOOK_EVERY)
            yield

    def open_result(self, stage: str, key: str) -> Result:
        """Open an existing result by stage and key. Raises UserError if it is not complete."""
        folder = self.root / stage / key
        seal = read_seal(folder / SEAL, stage, key)
        if seal is None:
            raise UserError(
                f"{folder}: this result is gone or unfinished; run the command that made it again"
            )
        return Result(folder, seal.recipe)

    def lock(self, result: Result) -> Lock:
        """The lock of whoever writes the result."""
        return self.lock_named(result.recipe.stage, result.key)

    def lock_named(self, stage: str, key: str) -> Lock:
        """Return the lock of the result called ``key`` of a stage."""
        return self._lock(f"{stage}-{key}")

    def folder_lock(self, folder: Path) -> Lock:
        """The lock of whoever writes that dataset folder."""
        digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()
        return self._lock(f"dataset-{digest[:32]}")

    def _lock(self, name: str) -> Lock:
        folder = self.root / LOCKS
        folder.mkdir(exist_ok=True)
        return Lock(folder / f"{name}.lock", self.lock_kind)


def is_result_folder(folder: Path) -> bool:
    """Whether a folder, and no link to one, is called like a result and holds a result's own files or nothing."""
    if not is_key(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    if os.path.lexists(folder / SEAL):  # a finished result may have many files: they are not listed
        return True
    names = {path.name for path in folder.iterdir()}
    return not names or BEGINNING in names or any(n.startswith("index.") for n in names)


def is_key(name: str) -> bool:
    """Whether a folder's name may be the key of a result."""
    return len(name) == KEY_LENGTH and set(name) <= set("0123456789abcdef")
