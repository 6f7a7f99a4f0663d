"""The folder of all results."""

import hashlib
from pathlib import Path

from filelock import FileLock

from dynprep.errors import UserError
from dynprep.store.recipe import Recipe
from dynprep.store.result import Result


class Store:
    """Results under ``root``/stage/key. Two processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"store_dir={self.root}: cannot be made ({error.strerror}); choose another store_dir"
            ) from None

    def result(self, recipe: Recipe) -> Result:
        """The result of a recipe, there or not."""
        return Result(self.root / recipe.stage / recipe.key, recipe)

    def lock(self, result: Result) -> FileLock:
        """Whoever holds it may write the result; the system frees it when its holder dies."""
        return self._lock(f"{result.recipe.stage}-{result.key}")

    def folder_lock(self, folder: Path) -> FileLock:
        """Whoever holds it may lay out that dataset folder."""
        digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()
        return self._lock(f"dataset-{digest[:32]}")

    def _lock(self, name: str) -> FileLock:
        folder = self.root / "locks"
        folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{name}.lock")
