"""Disks that are full, and disks that lose power."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.faults.case import Case
from tests.faults.whole import fault_of_dataset, finished, forked, made_once

_IMAGE = 96 << 20  # bytes of a file system
_ENOUGH = 256 << 20
_LONGEST_WAIT = 8.0  # seconds after a run's end until the power goes


def small(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """The store, the dataset or the run on a disk that is too small, then on a larger one: one line, then the
    same bytes."""
    if not _may_mount(room):
        return
    full = sum(p.stat().st_size for p in made_once().rglob("*") if p.is_file())
    for number in range(count):
        folder = room / f"{number}"
        which = rng.choice(("store", "dataset", "run"))
        (folder / which).mkdir(parents=True)
        size = int(full * rng.uniform(0, 1)) + 4096
        with _mounted(["-t", "tmpfs", "-o", f"size={size}", "tmpfs"], folder / which) as at:
            end = finished(folder)
            fault = end.fault
            if end.status == 0:
                fault = fault or fault_of_dataset(folder)
            elif "disk is full" not in end.errors and "are needed," not in end.errors:
                fault = fault or f"does not say that the disk is full: {end.errors[-300:]!r}"
            yield Case(f"{which} on {size} bytes, number {number}", fault)
            subprocess.run(["mount", "-o", f"remount,size={_ENOUGH}", str(at)], check=True)
            end = finished(folder)
            fault = end.fault or (end.errors if end.status else fault_of_dataset(folder))
            yield Case(f"{which} on a larger disk, number {number}", fault)


def power(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """Power that goes while a run writes, or after it: what had reached the disk, taken as an image of its file
    system, is what the same command goes on with."""
    if not _may_mount(room):
        return
    for number in range(count):
        folder = room / f"{number}"
        folder.mkdir()
        disk, saved = folder / "disk", folder / "saved"
        with disk.open("wb") as file:
            file.truncate(_IMAGE)
        subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
        with _mounted(["-o", "loop", str(disk)], folder / "at") as at:
            process = forked(at, "dataset.link=hard")
            wait = rng.uniform(1, 10)
            end = time.monotonic() + wait
            while time.monotonic() < end and process.poll() is None:
                time.sleep(0.01)
            over = process.poll() is not None
            if over:
                wait = rng.uniform(0, _LONGEST_WAIT)
                time.sleep(wait)
            else:
                os.kill(process.pid, signal.SIGSTOP)
            shutil.copyfile(disk, saved)
            if not over:
                process.kill()
            process.wait()
        with _mounted(["-o", "loop", str(saved)], folder / "at") as at:
            name = f"power lost {wait:.1f} s {'after the end' if over else 'into the run'}, number {number}"
            written = at / "dataset" / "demo"
            fault = fault_of_dataset(at) if written.exists() or over else None
            yield Case(f"{name}: the dataset", fault)
            ended = finished(at, "dataset.link=hard")
            fault = ended.fault or (ended.errors if ended.status else fault_of_dataset(at))
            yield Case(f"{name}: run again", fault)
        disk.unlink()
        saved.unlink()


@contextmanager
def _mounted(what: list[str], at: Path) -> Iterator[Path]:
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *what, str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def _may_mount(room: Path) -> bool:
    """Whether disks can be made here: it takes root."""
    try:
        with _mounted(["-t", "tmpfs", "-o", "size=4096", "tmpfs"], room / "probe"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
