"""The folder of all results."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from dynprep.errors import UserError
from dynprep.store.recipe import Recipe
from dynprep.store.result import ItemWriter, Result

LOCKS = "locks"  # folder of the store
ONLY = "all"  # the item of results that have but one


class Store:
    """Results under ``root``/stage/key. Two processes may share it."""

    def __init__(self, root: Path, verify: bool = False) -> None:
        """verify: re-hash what ``kept`` finds before it is used."""
        self.root, self.verify = root.absolute(), verify
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"store_dir={self.root}: cannot be made ({error.strerror}); choose another store_dir"
            ) from None

    def result(self, recipe: Recipe) -> Result:
        """The result of a recipe, there or not."""
        return Result(self.root / recipe.stage / recipe.key, recipe)

    def kept(self, recipe: Recipe, make: Callable[[ItemWriter], None]) -> Result:
        """A small result with one item, made on the spot by ``make`` unless it is there."""
        result = self.result(recipe)
        if not self._whole(result):
            with self.lock(result):
                if not self._whole(result):
                    started = time.perf_counter()
                    result.begin({})
                    writer = result.writer(ONLY)
                    make(writer)
                    result.add(writer)
                    result.close([ONLY], {"seconds": time.perf_counter() - started})
        return result

    def _whole(self, result: Result) -> bool:
        return result.seal() is not None and ONLY in result.sound(self.verify)

    def gate(self) -> FileLock:
        """Whoever holds it may decide, from what is there, what will be used, or what may go."""
        return self._lock("gate")

    def opened(self, stage: str, key: str) -> Result:
        """A result that is there, by its name. Raises UserError if it is not whole."""
        folder = self.root / stage / key
        seal = Result(folder, Recipe(stage, 0, "")).seal()
        if seal is None:
            raise UserError(
                f"{folder}: this result is gone or unfinished; run the command that made it again"
            )
        return Result(folder, Recipe(**seal["recipe"]))

    def lock(self, result: Result) -> FileLock:
        """Whoever holds it may write the result; the system frees it when its holder dies."""
        return self.lock_named(result.recipe.stage, result.key)

    def lock_named(self, stage: str, key: str) -> FileLock:
        """The same by the result's name."""
        return self._lock(f"{stage}-{key}")

    def folder_lock(self, folder: Path) -> FileLock:
        """Whoever holds it may lay out that dataset folder."""
        digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()
        return self._lock(f"dataset-{digest[:32]}")

    def _lock(self, name: str) -> FileLock:
        folder = self.root / LOCKS
        folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{name}.lock")
