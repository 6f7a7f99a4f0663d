"""Where an artefact's files are read from, and where they lie in a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dynprep.arrays import AnyArray


class Files(Protocol):
    """Where an artefact is read from: a result in the store, or a folder of a dataset."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Options that the artefact was made with."""
        ...

    def file(self, name: str) -> Path:
        """Where the file ``name`` lies."""
        ...

    def array(self, name: str) -> AnyArray:
        """The array in the .npy file ``name``."""
        ...

    def mapped(self, name: str) -> AnyArray:
        """The array in the .npy file ``name``, read from the disk when it is used."""
        ...

    def holds(self, name: str) -> bool:
        """Whether there is a file ``name``."""
        ...

    def arrays(self, name: str) -> dict[str, AnyArray]:
        """The arrays in the .npz file ``name``."""
        ...

    def image(self, name: str) -> AnyArray:
        """The pixels of the image file ``name``."""
        ...

    def json(self, name: str) -> Any:
        """The value in the JSON file ``name``."""
        ...


@dataclass(frozen=True)
class Place:
    """Where files of an artefact lie in a dataset.

    option: the option of the group ``layout`` that names the place, None where the name is fixed; default: its
    name in the default layout; is_folder: False for one JSON file.
    """

    option: str | None
    default: str
    is_folder: bool = True
