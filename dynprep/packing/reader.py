"""Packed tracks of a dataset, read as if every pair had its own file."""

from functools import cached_property
from pathlib import Path
from typing import Any

from dynprep.arrays import AnyArray, Float32Array
from dynprep.artefacts.files import Files
from dynprep.artefacts.tracks import TrackForm
from dynprep.packing.codec import unpack
from dynprep.packing.kinds import CONTAINERS, PackKind
from dynprep.packing.packed import file_name


class PackedTrackFiles:
    """The files of ``PairTracks`` that a dataset holds packed; they exist one by one when they are asked for."""

    def __init__(self, files: Files, kind: PackKind) -> None:
        """files: of the folder that holds the packed ones; kind: which they are."""
        self._files, self._kind = files, kind
        self.options = files.options
        self._last: tuple[str, Float32Array] | None = None

    @cached_property
    def _form(self) -> TrackForm:
        return TrackForm.of(self.options)

    def array(self, name: str) -> AnyArray:
        """The tracks (N, 4) of the pair whose file would be called ``name``, in the dataset's own form."""
        query, target = name.partition(".")[0].split("_")
        path = self.file(query)
        container = CONTAINERS[self._kind]
        packed = container.target(path, target)
        return unpack(packed, self._query(query), self._form.scores, self._form.dtype)

    mapped = array

    def file(self, name: str) -> Path:
        """Where the packed file lies that has the pair of the file ``name``, or the query frame ``name``."""
        return self._files.file(file_name(name.partition(".")[0].partition("_")[0], self._kind))

    def holds(self, name: str) -> bool:
        """Whether there is the packed file that has the pair's."""
        return self.file(name).is_file()

    def arrays(self, name: str) -> dict[str, AnyArray]:
        """Nothing of the kind is packed."""
        raise KeyError(name)

    def image(self, name: str) -> AnyArray:
        """Nothing of the kind is packed."""
        raise KeyError(name)

    def json(self, name: str) -> Any:
        """Nothing of the kind is packed."""
        raise KeyError(name)

    def _query(self, stem: str) -> Float32Array:
        """The query pixels (N, 2) of a frame; those of the last frame that was asked for are kept."""
        if self._last is None or self._last[0] != stem:
            self._last = stem, CONTAINERS[self._kind].query(self.file(stem))
        return self._last[1]
