"""Stores whose files are not what was written."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from dynprep.errors import UserError
from tests.faults.case import Case, fault_of_words
from tests.faults.whole import fault_of_dataset, run_here, small_run

Damage = Callable[[Random, Path, Path], str]


def damage(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """Damage a store in one to three places, then run into a new dataset: the right one, or one line."""
    for number in range(count):
        folder = room / f"{number}"
        folder.mkdir()
        small_run(folder)
        keeps_dataset = rng.random() < 0.3
        if not keeps_dataset:
            shutil.rmtree(folder / "dataset")
        done = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            files = sorted(p for p in (folder / "store").rglob("*") if p.is_file())
            done.append(rng.choice(KINDS)(rng, rng.choice(files), folder / "store"))
        try:
            run_here(folder, *rng.choice(((), ("stages=[tracks,points]",), ())))
            run_here(folder)
            fault = fault_of_dataset(folder)
        except UserError as error:
            fault = fault_of_words(str(error))
        except Exception as error:
            fault = f"{type(error).__name__}: {str(error)[:300]}"
        yield Case(f"{'; '.join(done)}, number {number}", fault)
        shutil.rmtree(folder)


def _rewrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as damage on a disk would leave it


def _name(path: Path, store: Path) -> str:
    return str(path.relative_to(store))


def _tail(rng: Random, path: Path, store: Path) -> str:
    content = path.read_bytes()
    keep = rng.randrange(len(content) or 1)
    _rewrite(path, content[:keep] + b"\0" * (len(content) - keep))
    return f"zeros from byte {keep} of {_name(path, store)}"


def _bit(rng: Random, path: Path, store: Path) -> str:
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing"
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    _rewrite(path, bytes(content))
    return f"a bit of byte {place} of {_name(path, store)}"


def _cut(rng: Random, path: Path, store: Path) -> str:
    content = path.read_bytes()
    _rewrite(path, content[: rng.randrange(len(content) or 1)])
    return f"{_name(path, store)} cut"


def _gone(rng: Random, path: Path, store: Path) -> str:
    path.unlink()
    return f"{_name(path, store)} removed"


def _swapped(rng: Random, path: Path, store: Path) -> str:
    """Another file of the same folder, or of the same name, in its place."""
    others = [
        p for p in (*path.parent.iterdir(), *store.rglob(path.name)) if p.is_file() and p != path
    ]
    if not others:
        return _gone(rng, path, store)
    other = rng.choice(sorted(others))
    _rewrite(path, other.read_bytes())
    return f"{_name(other, store)} in the place of {_name(path, store)}"


def _folder(rng: Random, path: Path, store: Path) -> str:
    """A result's folder replaced by another result's, of its stage or of any."""
    folders = sorted(p for p in store.glob("*/*") if p.is_dir())
    one, other = rng.choice(folders), rng.choice(folders)
    if one != other:
        shutil.rmtree(one)
        shutil.copytree(other, one)
    return f"the result {_name(other, store)} in the place of {_name(one, store)}"


def _folder_gone(rng: Random, path: Path, store: Path) -> str:
    one = rng.choice(sorted(p for p in store.glob("*/*") if p.is_dir()))
    shutil.rmtree(one)
    return f"the result {_name(one, store)} removed"


def _seal(rng: Random, path: Path, store: Path) -> str:
    """Fewer items in a seal, or none."""
    seal = rng.choice(sorted(store.glob("*/*/result.json")))
    try:
        value = json.loads(seal.read_text())
    except ValueError:
        return "nothing"
    rng.shuffle(value["items"])
    value["items"] = value["items"][: rng.randrange(len(value["items"]))]
    _rewrite(seal, json.dumps(value).encode())
    return f"{_name(seal, store)} with {len(value['items'])} items"


KINDS: tuple[Damage, ...] = (
    _tail,
    _tail,
    _bit,
    _cut,
    _gone,
    _swapped,
    _folder,
    _folder_gone,
    _seal,
)
