"""Packed tracks in a .zarr.zip file, which zarr and its readers in other languages open: a chunk a target."""

import asyncio
import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dynprep.arrays import AnyArray, Float32Array
from dynprep.artefacts.tracks import ScoreForm
from dynprep.packing.codec import OFFSET_STEPS, SCORE_STEPS, PackedTarget
from dynprep.packing.container import FORMAT, Container
from dynprep.scene.array_files import UnreadableArray

_DATE = (1980, 1, 1, 0, 0, 0)  # of entries: the same tracks are the same bytes
_LEVEL = 6  # of zstd, 1 to 22: higher takes long and gains little
_QUERY, _OFFSET, _SCORE, _TARGETS = "query", "offset", "score", "targets"


class ZarrContainer(Container):
    """A group of three arrays.

    ``query`` (N, 2) float32; ``offset`` (K, N, 2) int16 or int32 and ``score`` (K, N, 2) int16 of K targets, in steps;
    how many steps a pixel and a unit have, and the targets' stems, are attributes.
    """

    suffix = ".zarr.zip"
    package = "zarr"

    def content(
        self, query: Float32Array, form: ScoreForm, targets: Mapping[str, PackedTarget]
    ) -> bytes:
        import zarr
        from zarr.codecs import BloscCodec, BloscShuffle

        offset = np.stack([target.offsets for target in targets.values()])
        score = np.stack([target.scores for target in targets.values()])
        store = zarr.storage.MemoryStore()
        attributes = {
            "format": FORMAT,
            "offset_steps": OFFSET_STEPS,
            "score_steps": SCORE_STEPS[form],
            _TARGETS: list(targets),
        }
        group = zarr.create_group(store, attributes=attributes)
        small = BloscCodec(cname="zstd", clevel=_LEVEL, shuffle=BloscShuffle.shuffle)
        for name, values in {_QUERY: query, _OFFSET: offset, _SCORE: score}.items():
            chunk = values.shape if name == _QUERY else (1, *values.shape[1:])
            chunks = tuple(max(length, 1) for length in chunk)
            group.create_array(name, data=values, chunks=chunks, compressors=small)
        return asyncio.run(_zipped(store))

    def query(self, path: Path) -> Float32Array:
        with _opened(path) as group:
            return np.asarray(group[_QUERY][:], np.float32)

    def target(self, path: Path, stem: str) -> PackedTarget:
        with _opened(path) as group:
            row = list(group.attrs[_TARGETS]).index(stem)
            parts: list[AnyArray] = [group[name][row] for name in (_OFFSET, _SCORE)]
        return PackedTarget(*parts)


async def _zipped(store: Any) -> bytes:
    """What a zarr store in memory holds, as a .zip file without further compression."""
    from zarr.core.buffer import default_buffer_prototype

    buffer = io.BytesIO()
    keys = sorted([key async for key in store.list()])
    with zipfile.ZipFile(buffer, "w") as file:
        for key in keys:
            value = await store.get(key, default_buffer_prototype())
            file.writestr(zipfile.ZipInfo(key, _DATE), value.to_bytes())
    return buffer.getvalue()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The group in a file. Whatever is wrong with it raises UserError."""
    import zarr

    try:
        with zarr.storage.ZipStore(path, mode="r") as store:
            group = zarr.open_group(store, mode="r")
            if group.attrs["format"] != FORMAT:
                raise ValueError(f"is of format {group.attrs['format']}, {FORMAT} is read")
            yield group
    except Exception as error:  # whatever zarr, its codecs or zipfile find wrong
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreadableArray(
            f"{path}: cannot be read ({reason}); replace it, or unpack it with the dynprep that wrote it"
        ) from None
