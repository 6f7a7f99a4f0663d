"""One result on disk: its items' files, an index of the items that are complete, and the seal when all are."""

import hashlib
import io
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dynprep.cores import in_threads
from dynprep.durable import sync_folder
from dynprep.errors import UserError
from dynprep.files import (
    TEMPORARY,
    array_of,
    atomic_path,
    read_array,
    read_arrays,
    sha256,
    sweep_temporary,
    write_json,
)
from dynprep.links import READ_ONLY, clone
from dynprep.store.recipe import Recipe
from dynprep.store.seal import (
    Item,
    Seal,
    read_beginning,
    read_index,
    read_seal,
    seal_json,
)
from dynprep.store.seal_cache import SEALS, Written
from dynprep.store.verified import Damaged, is_as_written, read_verified, remember

SEAL = "result.json"
BEGINNING = "recipe.json"
_INDEX = "index.*.jsonl"
_KEPT = "index.before.jsonl"  # items of a run before, which are still valid
_IMAGES = ("PNG", "JPEG")
_AT_ONCE = 64  # files that a thread looks at before it takes the next


class NotFinite(UserError):
    """A value that is NaN or infinite and was about to be stored."""


class _Hashing(io.RawIOBase):
    """A file that hashes what is written through it, so that bytes are read once."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.file.write(data)
        self.digest.update(data)
        self.size += memoryview(data).nbytes
        return memoryview(data).nbytes


class ItemWriter:
    """Writes the files of one item; ``Result.add`` takes it when all are written."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.item = folder, Item(name)

    def note(self, text: str) -> None:
        """Say something the user must see in the closing table and the report."""
        self.item.notes.append(text)

    def array(self, name: str, value: NDArray[Any]) -> None:
        """Write ``value`` as .npy, read back without pickle. Raises NotFinite for NaN and infinity."""
        assert not value.dtype.hasobject
        self._check_finite(name, value)
        self._write(name, lambda file: np.lib.format.write_array(file, np.ascontiguousarray(value)))

    def arrays(self, name: str, **values: NDArray[Any]) -> None:
        """Write several arrays as one uncompressed .npz (the same values, the same bytes).

        Raises NotFinite for NaN and infinity.
        """
        for key, value in values.items():
            self._check_finite(f"{name} ({key})", value)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **values)
        self.data(name, buffer.getvalue())

    def image(self, name: str, value: NDArray[Any], compression: int = 1) -> None:
        """Write (H, W) uint8 or uint16, or RGB (H, W, 3) uint8, as PNG."""
        buffer = io.BytesIO()
        Image.fromarray(value).save(buffer, "PNG", compress_level=compression)
        self.data(name, buffer.getvalue())

    def json(self, name: str, value: Any) -> None:
        """Write ``value`` as JSON. Raises NotFinite for NaN and infinity."""
        try:
            text = json.dumps(value, indent=1, allow_nan=False)
        except ValueError:
            raise NotFinite(f"{name}: a value is not finite; check the input") from None
        self.data(name, (text + "\n").encode())

    def data(self, name: str, value: bytes | memoryview) -> None:
        """Write bytes as they are."""
        self._write(name, lambda file: file.write(value))

    def adopt(self, name: str, source: Path, digest: str) -> None:
        """Take in a copy of a file of the user's, which shares its blocks where the file system can do that.

        digest: its SHA-256 when it was looked at. Raises UserError where it holds something else by now.
        """
        temporary = self.temporary(name)
        temporary.unlink(missing_ok=True)
        clone(source, temporary)
        if sha256(temporary) != digest:
            temporary.unlink()
            raise UserError(f"{source}: was changed while dynprep read it; run the command again")
        self.take(name, temporary, digest)

    def take(self, name: str, temporary: Path, digest: str | None = None) -> None:
        """Take in a file that another library wrote at ``temporary``, in this result's folder.

        digest: its SHA-256, where it is known.
        """
        digest = digest or sha256(temporary)
        self.item.files[name] = (temporary.stat().st_size, digest)
        temporary.chmod(READ_ONLY)
        os.replace(temporary, self.folder / name)
        remember(self.folder / name, digest)

    def temporary(self, name: str) -> Path:
        """A path for a library to write to before ``take``."""
        return self.folder / f"{TEMPORARY}{os.getpid()}-{name}"

    def _write(self, name: str, fill: Any) -> None:
        with atomic_path(self.folder / name) as temporary:
            with temporary.open("wb") as file:
                hashing = _Hashing(file)
                fill(hashing)
            temporary.chmod(READ_ONLY)
        self.item.files[name] = (hashing.size, hashing.digest.hexdigest())
        remember(self.folder / name, hashing.digest.hexdigest())

    def _check_finite(self, name: str, value: NDArray[Any]) -> None:
        if value.dtype.kind not in "fc":
            return
        bad = int(value.size - np.isfinite(value).sum())
        if bad:
            raise NotFinite(
                f"{name}: {bad} of {value.size} values are not finite; of a network's output, use "
                "trainer.precision=bf16-true or 32-true and check its weights; else check the input"
            )


def _read_once(path: str, stage: str, key: str) -> Seal | None:
    """The seal in the file ``path`` of the result ``key``, read again where the file is another one."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    times = status.st_mtime_ns, status.st_ctime_ns
    written = Written(path, key, *times, status.st_size, status.st_ino)
    return SEALS.get(written, lambda: read_seal(Path(path), stage, key))


class Result:
    """The folder of one recipe's result. Picklable, so that every rank can open it.

    What is read through it is compared with the hash that it was written with, once a process; ``Damaged`` is
    raised for another content.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe

    def __repr__(self) -> str:
        return f"Result({self.recipe.stage} {self.recipe.key})"

    @property
    def key(self) -> str:
        """The hex digits that name the result."""
        return self.recipe.key

    @property
    def options(self) -> Mapping[str, Any]:
        """Options that it is made with."""
        return self.recipe.options

    @property
    def store_folder(self) -> Path:
        """The store that the result belongs to."""
        return self.folder.parents[1]

    def file(self, name: str) -> Path:
        """Where a file of this result lies, whatever it holds."""
        return self.folder / name

    def holds(self, name: str) -> bool:
        """Whether the result has a file called ``name``."""
        try:
            self.fact(name)
        except Damaged:
            return False
        return True

    # reading ------------------------------------------------------------------------------

    def bytes(self, name: str) -> bytearray:
        """The content of the file ``name``. Raises Damaged where it is not as it was written."""
        return read_verified(self.file(name), *self.fact(name))

    def checked_file(self, name: str) -> Path:
        """Where the file ``name`` lies, once its content was found to be as it was written; else raises Damaged."""
        path = self.file(name)
        if not is_as_written(str(path), *self.fact(name)):
            raise Damaged(path)
        return path

    def array(self, name: str) -> NDArray[Any]:
        """The .npy file ``name``."""
        return array_of(self.bytes(name))

    def mapped(self, name: str) -> NDArray[Any]:
        """The .npy file ``name``, read from the disk when it is used."""
        return read_array(self.checked_file(name), mapped=True)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of the .npz file ``name``."""
        return read_arrays(io.BytesIO(self.bytes(name)))

    def image(self, name: str) -> NDArray[Any]:
        """The pixels of the image file ``name``."""
        with Image.open(io.BytesIO(self.bytes(name)), formats=_IMAGES) as image:
            return np.asarray(image)

    def json(self, name: str) -> Any:
        """The value in the JSON file ``name``."""
        return json.loads(self.bytes(name))

    def fact(self, name: str) -> tuple[int, str]:
        """Size in bytes and SHA-256 that the file ``name`` was written with. Raises Damaged where there is none."""
        seal = self._sealed
        files = seal.files if seal is not None else {}
        if name not in files:
            raise Damaged(self.file(name))
        return files[name]

    def seal(self) -> Seal | None:
        """What was written when the result became complete; None while it is not.

        A seal that is damaged, or of another result, is none, and so is one of a result whose inputs have other
        bytes by now than it was made from.
        """
        seal = self._sealed
        return seal if seal is not None and self._is_current(seal.made_from) else None

    @property
    def _sealed(self) -> Seal | None:
        """The seal, whatever its inputs hold by now."""
        return _read_once(self._seal_path, self.recipe.stage, self.key)

    # asked for many times of every result of a plan, so that paths are put together once
    @cached_property
    def _seal_path(self) -> str:
        return str(self.folder / SEAL)

    @cached_property
    def _input_seals(self) -> list[tuple[str, str, str]]:
        """Stage, key and path of the seal of each input."""
        inputs = self.recipe.inputs.items()
        return [(name, key, str(self.store_folder / name / key / SEAL)) for name, key in inputs]

    def _is_current(self, made_from: Mapping[str, str]) -> bool:
        """Whether the inputs, as far as they are still here, hold what the result was made from."""
        now = self._inputs()
        return all(now.get(name, content) == content for name, content in made_from.items())

    def _inputs(self) -> dict[str, str]:
        """By input, what identifies the content of its result, of those that are complete."""
        seals = {name: _read_once(path, name, key) for name, key, path in self._input_seals}
        return {name: seal.content for name, seal in seals.items() if seal is not None}

    # what is complete ---------------------------------------------------------------------

    def items(self) -> dict[str, Item]:
        """Items indexed so far, by name."""
        seal = self.seal()
        if seal is not None:
            return seal.items
        begun = read_beginning(self.folder / BEGINNING, self.recipe.stage, self.key)
        if begun is None or not self._is_current(begun["made_from"]):
            return {}
        return read_index(sorted(self.folder.glob(_INDEX)))

    def valid_items(self) -> dict[str, Item]:
        """Items whose files are all there and as they were written."""
        items = self.items()
        facts = [(name, fact) for item in items.values() for name, fact in item.files.items()]
        folder = str(self.folder)

        def damaged(part: slice) -> list[str]:
            return [n for n, fact in facts[part] if not is_as_written(f"{folder}/{n}", *fact)]

        # a task of many files: one for each would take more memory than the rest of a long clip's run
        parts = [slice(k, k + _AT_ONCE) for k in range(0, len(facts), _AT_ONCE)]
        lost = {name for names in in_threads(damaged, parts) for name in names}
        return {k: item for k, item in items.items() if lost.isdisjoint(item.files)}

    def is_complete(self, expected: Iterable[str]) -> bool:
        """Whether the result is sealed with exactly the items of these names, and all of their files are valid."""
        seal = self.seal()
        if seal is None or set(seal.items) != set(expected):
            return False
        return len(self.valid_items()) == len(seal.items)

    # writing ------------------------------------------------------------------------------

    def begin(self, items: dict[str, Item]) -> None:
        """Prepare for writing: only ``items`` stay indexed. The caller holds the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep_temporary(self.folder)
        with atomic_path(self.folder / _KEPT) as temporary:
            temporary.write_text(
                "".join(json.dumps(asdict(item)) + "\n" for item in items.values())
            )
        beginning = {"recipe": asdict(self.recipe), "made_from": self._inputs()}
        write_json(self.folder / BEGINNING, beginning)
        (self.folder / SEAL).unlink(missing_ok=True)  # only now: a crash in between forgets nothing
        for path in self.folder.glob(_INDEX):
            if path.name != _KEPT:
                path.unlink()

    def writer(self, item: str) -> ItemWriter:
        """Start an item."""
        return ItemWriter(self.folder, item)

    def add(self, writer: ItemWriter) -> None:
        """Index an item whose files are complete. Each process has an index file, so that no two mix."""
        line = json.dumps(asdict(writer.item)) + "\n"
        with (self.folder / f"index.{_host()}-{os.getpid()}.jsonl").open("a") as file:
            file.write(line)

    def close(self, expected: Iterable[str], facts: dict[str, Any]) -> None:
        """Seal the result, once its files are on the disk. Raises UserError if an expected item is missing."""
        indexed = self.items()
        names = list(expected)
        missing = [name for name in names if name not in indexed]
        if missing:
            raise UserError(
                f"{self.folder}: {len(missing)} of {len(names)} items were not written, e.g. {missing[0]}: a process "
                "died, or somebody removed files there; run the same command again"
            )
        begun = read_beginning(self.folder / BEGINNING, self.recipe.stage, self.key)
        made_from = begun["made_from"] if begun is not None else self._inputs()
        sealed = [indexed[name] for name in names]
        sync_folder(self.folder)
        seal = seal_json(self.recipe, made_from, sealed, facts)
        write_json(self.folder / SEAL, seal, durable=True)
        for path in (*self.folder.glob(_INDEX), self.folder / BEGINNING):
            path.unlink(missing_ok=True)


@lru_cache
def _host() -> str:
    """This machine's name as part of a file's name: on a shared file system process numbers repeat."""
    return re.sub(r"[^\w-]", "_", platform.node()) or "host"
