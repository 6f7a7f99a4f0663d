"""Fuzzed files of every format that is read."""

import resource
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from dynprep.errors import UserError
from tests.faults.case import Case, fault_of_words
from tests.faults.formats import FORMATS, Format
from tests.faults.mutations import json_bytes, replace_by_kind, spoil_bytes, spoil_json
from tests.faults.whole import as_json

_LONGEST = 10  # seconds that a bad file may take
_MOST_DATA = 20 << 30  # bytes that the process may ask for
_MOST_MEMORY = 1 << 30  # bytes by which it may raise the most that the process ever had


def fuzz(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """Spoil a file of each format in turn, and read it: it must be read, or refused in one line, and soon."""
    with _limited_memory():
        for place, kind in enumerate(FORMATS):
            own = count // len(FORMATS) + (place < count % len(FORMATS))
            folder = room / f"{place}"
            (folder / "good").mkdir(parents=True)
            good = kind.make(folder / "good")
            content = good.read_bytes()
            value = as_json(good) if kind.is_json else None
            yield Case(f"{kind.name}: a good file", _fault(kind, good))
            for number in range(own):
                how = _spoil(rng, kind, good, content, value)
                fault = _fault(kind, good)
                if fault:
                    kept = room / f"{place}-{number}"
                    if good.is_file() and good.stat().st_size < 1 << 24:
                        shutil.copy(good, kept)
                yield Case(f"{kind.name}: {how}, number {number}", fault)
                _remove(good)
                good.write_bytes(content)


def _spoil(rng: Random, kind: Format, path: Path, content: bytes, value: object) -> str:
    chance = rng.random()
    if kind.kinds and chance < 0.04:
        return replace_by_kind(rng, path)
    path.unlink()
    if kind.is_json and chance < 0.7:
        path.write_bytes(json_bytes(spoil_json(rng, value)))
        return "another value"
    path.write_bytes(spoil_bytes(rng, content))
    return "other bytes"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _fault(kind: Format, path: Path) -> str | None:
    """What is wrong with how a file is read."""
    started, most = time.monotonic(), _peak()
    former = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_LONGEST)
    try:
        kind.read(path)
        fault = None
    except UserError as error:
        fault = fault_of_words(str(error))
    except BaseException as error:  # whatever a reader lets through is what is looked for
        signal.alarm(0)
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at else ""
        fault = f"{type(error).__name__} at {where}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
    took = time.monotonic() - started
    if took > _LONGEST:
        return f"took {took:.0f} s"
    if _peak() - most > _MOST_MEMORY:
        return f"took {(_peak() - most) / 1e9:.1f} GB"
    return fault


@contextmanager
def _limited_memory() -> Iterator[None]:
    """Refuse this process more than some memory, so that a file that asks for all of it ends in an error."""
    former = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_DATA, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, former)


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError(f"took more than {_LONGEST} s")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
