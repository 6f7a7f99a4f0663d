"""The folder of all results."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from dynprep.errors import UserError
from dynprep.store.recipe import Recipe, read_recipe
from dynprep.store.result import ItemWriter, Result

LOCKS = "locks"  # folder of the store
_ONLY_ITEM = "all"  # of results that have but one


class Store:
    """Results under ``root``/stage/key. Two processes may share it."""

    def __init__(self, root: Path, verify: bool = False) -> None:
        """Open the store, or make it. verify: ``cached`` re-hashes what it finds before it is used.

        Raises UserError where the folder cannot be made.
        """
        self.root, self.verify = root.absolute(), verify
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"store_dir={self.root}: cannot be made ({error.strerror}); choose another store_dir"
            ) from None

    def result(self, recipe: Recipe) -> Result:
        """The result of a recipe, whether it has been made or not."""
        return Result(self.root / recipe.stage / recipe.key, recipe)

    def cached(
        self, recipe: Recipe, make: Callable[[ItemWriter], None], is_view: bool = True
    ) -> Result:
        """A small result with one item, made on the spot by ``make`` unless it exists.

        is_view: it shows other results, and may go when one of those goes.
        """
        result = self.result(recipe)
        if not self._is_complete(result):
            with self.lock(result):
                if not self._is_complete(result):
                    started = time.perf_counter()
                    result.begin({})
                    writer = result.writer(_ONLY_ITEM)
                    make(writer)
                    result.add(writer)
                    seconds = time.perf_counter() - started
                    result.close([_ONLY_ITEM], {"seconds": seconds, "view": is_view})
        return result

    def _is_complete(self, result: Result) -> bool:
        return result.seal() is not None and _ONLY_ITEM in result.valid_items(self.verify)

    def gate(self) -> FileLock:
        """The lock of whoever decides, from what exists, what will be used or what may be removed."""
        return self._lock("gate")

    def open_result(self, stage: str, key: str) -> Result:
        """Open an existing result by stage and key. Raises UserError if it is not complete."""
        folder = self.root / stage / key
        seal = Result(folder, Recipe(stage, "")).seal()
        if seal is None:
            raise UserError(
                f"{folder}: this result is gone or unfinished; run the command that made it again"
            )
        return Result(folder, read_recipe(seal, folder))

    def lock(self, result: Result) -> FileLock:
        """The lock of whoever writes the result; the system frees it when its holder dies."""
        return self.lock_named(result.recipe.stage, result.key)

    def lock_named(self, stage: str, key: str) -> FileLock:
        """Return the lock of the result called ``key`` of a stage."""
        return self._lock(f"{stage}-{key}")

    def folder_lock(self, folder: Path) -> FileLock:
        """The lock of whoever writes that dataset folder."""
        digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()
        return self._lock(f"dataset-{digest[:32]}")

    def _lock(self, name: str) -> FileLock:
        folder = self.root / LOCKS
        folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{name}.lock")
