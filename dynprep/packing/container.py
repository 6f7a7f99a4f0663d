"""A file that a query frame's packed tracks lie in, whatever its kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from dynprep.arrays import Float32Array
from dynprep.artefacts.tracks import ScoreForm
from dynprep.errors import UserError
from dynprep.packing.codec import PackedTarget

FORMAT = 1  # of the files, which they say


class Container(ABC):
    """One kind of file.

    suffix: of the files' names; package: that the kind needs beyond what is always installed.
    """

    suffix: ClassVar[str]
    package: ClassVar[str | None] = None

    @abstractmethod
    def content(
        self, query: Float32Array, form: ScoreForm, targets: Mapping[str, PackedTarget]
    ) -> bytes:
        """A file's bytes, the same for the same tracks.

        query: (N, 2), the query pixels; form: of the scores; targets: tracks by the target frame's stem.
        """

    @abstractmethod
    def query(self, path: Path) -> Float32Array:
        """The query pixels (N, 2) of the file ``path``. Raises UserError for a file of another kind."""

    @abstractmethod
    def target(self, path: Path, stem: str) -> PackedTarget:
        """The tracks in the target frame ``stem``. Raises UserError where the file does not hold them."""

    def check_package(self) -> None:
        """Raise UserError where the package is not installed."""
        if self.package is not None and find_spec(self.package) is None:
            raise UserError(
                f"layout.pack={self.package}: needs the package {self.package}, which is not installed: pip install "
                "'dynprep[pack]'; layout.pack=npz needs nothing more"
            )
