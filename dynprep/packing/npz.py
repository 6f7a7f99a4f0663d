"""Packed tracks in a .npz file, which NumPy alone reads: an array of bytes a target."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dynprep.arrays import AnyArray, Float32Array
from dynprep.artefacts.tracks import ScoreForm
from dynprep.packing.codec import PackedTarget, from_planes, planes_of
from dynprep.packing.container import FORMAT, Container
from dynprep.scene.array_files import UnreadableArray, read_named_numbers

_FORMAT, _QUERY = "format", "query"


class NpzContainer(Container):
    """``query`` (N, 2) float32, and by target's stem the planes (P, N) uint8 of ``packing.codec``, deflated."""

    suffix = ".npz"

    def content(
        self, query: Float32Array, form: ScoreForm, targets: Mapping[str, PackedTarget]
    ) -> bytes:
        arrays: dict[str, AnyArray] = {stem: planes_of(target) for stem, target in targets.items()}
        arrays |= {_FORMAT: np.array(FORMAT), _QUERY: query}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    def query(self, path: Path) -> Float32Array:
        arrays = read_named_numbers(path, (_FORMAT, _QUERY))
        if int(arrays[_FORMAT]) != FORMAT:
            raise UnreadableArray(
                f"{path}: is of format {arrays[_FORMAT]}, {FORMAT} is read; use the dynprep that wrote it"
            )
        return arrays[_QUERY].astype(np.float32)

    def target(self, path: Path, stem: str) -> PackedTarget:
        try:
            return from_planes(read_named_numbers(path, (stem,))[stem])
        except ValueError as error:
            raise UnreadableArray(f"{path}: {stem}: {error}") from None
