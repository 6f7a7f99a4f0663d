"""One result on disk: its items' files, an index of the items that are complete, and the seal when all are."""

import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dynprep.errors import UserError
from dynprep.files import (
    TEMPORARY,
    atomic_path,
    link,
    read_array,
    read_arrays,
    sha256,
    sweep_temporary,
    write_json,
)
from dynprep.store.recipe import Recipe

SEAL = "result.json"
_READ_ONLY = 0o444  # datasets share these bytes by hard link: an edit there would reach the store


@dataclass
class Item:
    """One complete item: its files by name with (size in bytes, SHA-256), and notes to the user."""

    name: str
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


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
        """Write ``value`` as .npy, read back without pickle."""
        assert not value.dtype.hasobject
        self._write(name, lambda file: np.lib.format.write_array(file, np.ascontiguousarray(value)))

    def arrays(self, name: str, **values: NDArray[Any]) -> None:
        """Write several arrays as one uncompressed .npz (the same values, the same bytes)."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **values)
        self.data(name, buffer.getvalue())

    def image(self, name: str, value: NDArray[Any], compression: int = 1) -> None:
        """Write (H, W) uint8 or uint16, or RGB (H, W, 3) uint8, as PNG."""
        buffer = io.BytesIO()
        Image.fromarray(value).save(buffer, "PNG", compress_level=compression)
        self.data(name, buffer.getvalue())

    def json(self, name: str, value: Any) -> None:
        """Write ``value`` as JSON; NaN and infinity are refused."""
        self.data(name, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())

    def data(self, name: str, value: bytes | memoryview) -> None:
        """Write bytes as they are."""
        self._write(name, lambda file: file.write(value))

    def adopt(self, name: str, source: Path) -> None:
        """Take in a file of the user's by hard link (or copy), its permissions untouched."""
        link(source, self.folder / name)
        self.item.files[name] = (source.stat().st_size, sha256(source))

    def take(self, name: str, temporary: Path) -> None:
        """Take in a file that another library wrote at ``temporary``, in this result's folder."""
        self.item.files[name] = (temporary.stat().st_size, sha256(temporary))
        temporary.chmod(_READ_ONLY)
        os.replace(temporary, self.folder / name)

    def temporary(self, name: str) -> Path:
        """A path for a library to write to before ``take``."""
        return self.folder / f"{TEMPORARY}{os.getpid()}-{name}"

    def _write(self, name: str, fill: Any) -> None:
        with atomic_path(self.folder / name) as temporary:
            with temporary.open("wb") as file:
                hashing = _Hashing(file)
                fill(hashing)
            temporary.chmod(_READ_ONLY)
        self.item.files[name] = (hashing.size, hashing.digest.hexdigest())


class Result:
    """The folder of one recipe's result. Picklable, so that every rank can open it."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self._index: Path | None = None

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
        """Where a file of this result lies."""
        return self.folder / name

    # reading ------------------------------------------------------------------------------

    def array(self, name: str) -> NDArray[Any]:
        """The .npy file ``name``."""
        return read_array(self.file(name))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of the .npz file ``name``."""
        return read_arrays(self.file(name))

    def image(self, name: str) -> NDArray[Any]:
        """The pixels of the image file ``name``."""
        with Image.open(self.file(name)) as image:
            return np.asarray(image)

    def json(self, name: str) -> Any:
        """The value in the JSON file ``name``."""
        return json.loads(self.file(name).read_text())

    def seal(self) -> dict[str, Any] | None:
        """What was written when the result became complete; None while it is not."""
        try:
            return json.loads((self.folder / SEAL).read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UserError(
                f"{self.folder / SEAL}: not readable ({error}); remove that folder"
            ) from None

    # what is complete ---------------------------------------------------------------------

    def items(self) -> dict[str, Item]:
        """Items indexed so far, by name; a line cut short by a crash does not count."""
        items: dict[str, Item] = {}
        seal = self.seal()
        if seal is not None:
            lines = [json.dumps(entry) for entry in seal["items"]]
        else:
            lines = []
            for path in sorted(self.folder.glob("index.*.jsonl")):
                lines += path.read_text(errors="replace").splitlines()
        for line in lines:
            try:
                entry = json.loads(line)
                files = {k: (int(v[0]), str(v[1])) for k, v in entry["files"].items()}
                items[entry["name"]] = Item(entry["name"], files, list(entry["notes"]))
            except (ValueError, KeyError, TypeError):
                continue
        return items

    def valid_items(self, verify: bool) -> dict[str, Item]:
        """Items whose files are there with the right size and, when ``verify``, the right hash."""
        return {
            name: item
            for name, item in self.items().items()
            if all(
                self._is_valid(n, size, digest, verify) for n, (size, digest) in item.files.items()
            )
        }

    def _is_valid(self, name: str, size: int, digest: str, verify: bool) -> bool:
        path = self.folder / name
        try:
            return path.stat().st_size == size and (not verify or sha256(path) == digest)
        except OSError:
            return False

    # writing ------------------------------------------------------------------------------

    def begin(self, items: dict[str, Item]) -> None:
        """Prepare for writing: only ``items`` stay indexed. The caller holds the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep_temporary(self.folder)
        with atomic_path(self.folder / "index.before.jsonl") as temporary:
            temporary.write_text(
                "".join(json.dumps(asdict(item)) + "\n" for item in items.values())
            )
        (self.folder / SEAL).unlink(missing_ok=True)  # only now: a crash in between forgets nothing
        for path in self.folder.glob("index.*.jsonl"):
            if path.name != "index.before.jsonl":
                path.unlink()

    def writer(self, item: str) -> ItemWriter:
        """Start an item."""
        return ItemWriter(self.folder, item)

    def add(self, writer: ItemWriter) -> None:
        """Index an item whose files are complete. Each process has an index file, so that no two mix."""
        line = json.dumps(asdict(writer.item)) + "\n"
        with (self.folder / f"index.{os.getpid()}.jsonl").open("a") as file:
            file.write(line)

    def close(self, expected: Iterable[str], facts: dict[str, Any]) -> None:
        """Seal the result; raises RuntimeError if an expected item is missing."""
        indexed = self.items()
        names = list(expected)
        missing = [name for name in names if name not in indexed]
        if missing:
            raise RuntimeError(
                f"{self.recipe.stage}: {len(missing)} of {len(names)} items were not written, "
                f"e.g. {missing[:3]}; a worker process may have died"
            )
        items = [asdict(indexed[name]) for name in names]
        write_json(self.folder / SEAL, {"recipe": asdict(self.recipe), **facts, "items": items})
        for path in self.folder.glob("index.*.jsonl"):
            path.unlink()
