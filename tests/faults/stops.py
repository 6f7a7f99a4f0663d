"""Runs that are killed, or told to stop, at any moment."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from dynprep.stopping import MESSAGE
from tests.faults.case import Case, fault_of_end
from tests.faults.whole import fault_of_dataset, finished, forked

_OUTLIVE = 5.0  # seconds that other processes may outlive a killed main one
_STOP = 10.0  # seconds within which a run that is told to stop has ended
_AGAIN = 3  # how often a run is stopped at most before it may end


def kills(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """SIGKILL to the main process, then the same command again until it ends: the same bytes, and nobody left."""
    yield from _stopped(rng, count, room, (signal.SIGKILL,))


def signals(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """SIGTERM and SIGINT, to the main process or to all: an end in time, with the words for it."""
    yield from _stopped(rng, count, room, (signal.SIGTERM, signal.SIGINT))


def _stopped(
    rng: Random, count: int, room: Path, kinds: tuple[signal.Signals, ...]
) -> Iterator[Case]:
    options = rng.choice(((), ("trainer.readers=2",), ("trainer=ddp_cpu",)))
    started = time.monotonic()
    finished(_made(room / "first"), *options)
    usual = time.monotonic() - started
    done, place = 0, 0
    while done < count:
        place += 1
        folder = _made(room / f"{place}")
        options = rng.choice(((), ("trainer.readers=2",), ("trainer=ddp_cpu",)))
        for _ in range(min(rng.randint(1, _AGAIN), count - done)):
            done += 1
            kind = rng.choice(kinds)
            after = rng.uniform(0, usual * 1.2)
            fault = _stop(rng, folder, options, kind, after)
            yield Case(f"{kind.name} after {after:.1f} s {options}, room {place}", fault)
        end = finished(folder, *options)
        fault = end.fault or (end.errors if end.status else fault_of_dataset(folder))
        yield Case(f"room {place} {options}: run again to its end", fault)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _stop(
    rng: Random, folder: Path, options: tuple[str, ...], kind: signal.Signals, after: float
) -> str | None:
    process = forked(folder, *options)
    end = time.monotonic() + after
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    if process.poll() is None:
        if kind != signal.SIGKILL and rng.random() < 0.5 and _leads_group(process.pid):
            os.killpg(process.pid, kind)
        else:
            os.kill(process.pid, kind)
    told = time.monotonic()
    ended = process.wait(60)
    took = time.monotonic() - told
    if left := _left(process.pid):
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return f"{len(left)} processes outlive it by {_OUTLIVE:g} s"
    if kind == signal.SIGKILL:
        return None
    if took > _STOP:
        return f"took {took:.0f} s to stop"
    if ended.returncode == 0:  # it had ended already, or nearly so
        return fault_of_dataset(folder)
    if ended.returncode == -kind:  # before there was anything that could say so
        return None
    if MESSAGE not in ended.stderr:
        return f"does not say that it was stopped: {ended.stderr[-300:]!r}"
    return fault_of_end(ended.returncode, ended.stdout, ended.stderr)


def _leads_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def _left(leader: int) -> list[int]:
    """Processes of the session that are still there after a while."""
    end = time.monotonic() + _OUTLIVE
    while (left := _session(leader)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _session(leader: int) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(path.name))
    return found
