"""Locks between processes, of the first kind that works on the store's file system.

``flock`` is freed by the system when its holder dies, and most file systems have it. Where it fails (some NFS,
Lustre and FUSE mounts) ``fcntl`` is tried, which NFS passes on to its server. Where that fails too, a file that only
one process can create stands for the lock: its holder renews its time, and one that was not renewed for a while is
taken over.
"""

import contextlib
import errno
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from dynprep.errors import UserError

LockKind = Literal["flock", "fcntl", "lease"]

_RENEW_EVERY, _STALE_AFTER = 10.0, 120.0  # seconds: clocks and caches of shared file systems lag
_LOOK_EVERY = 0.1  # seconds between two tries
_HELD = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)


class Busy(Exception):
    """Somebody else holds the lock."""


# locks of this process by path: fcntl does not tell its threads apart
_of_this_process: dict[str, threading.Lock] = {}
_guard = threading.Lock()


class Lock:
    """A lock at a path. Threads of one process exclude each other as processes do; not reentrant."""

    def __init__(self, path: Path, kind: LockKind) -> None:
        self.path, self.kind = path, kind
        with _guard:
            self._thread = _of_this_process.setdefault(str(path), threading.Lock())
        self._file: int | None = None
        self._released = threading.Event()

    @contextmanager
    def hold(self, wait: bool = True) -> Iterator[None]:
        """Hold the lock inside the context. Raises Busy where another has it and ``wait`` is False."""
        if not self._thread.acquire(blocking=wait):
            raise Busy
        try:
            while not self._take():
                if not wait:
                    raise Busy
                time.sleep(_LOOK_EVERY)
            try:
                yield
            finally:
                self._give_back()
        finally:
            self._thread.release()

    def _take(self) -> bool:
        if self.kind == "lease":
            return self._take_lease()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            _lock_file(self._file, self.kind)
        except OSError as error:
            os.close(self._file)
            if error.errno in _HELD:
                return False
            raise
        return True

    def _give_back(self) -> None:
        if self.kind == "lease":
            self._released.set()
            self.path.unlink(missing_ok=True)
        elif self._file is not None:
            # said outright: a child that was forked meanwhile would hold it on after the close
            _unlock_file(self._file, self.kind)
            os.close(self._file)

    def _take_lease(self) -> bool:
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if self._now() - self.path.stat().st_mtime > _STALE_AFTER:
                    self._take_over()
            return False
        os.write(file, f"{platform.node()} {os.getpid()}\n".encode())
        os.close(file)
        self._released = threading.Event()
        threading.Thread(target=self._renew, args=(self._released,), daemon=True).start()
        return True

    def _now(self) -> float:
        """The file system's own time, which may differ from this machine's."""
        probe = self.path.with_name(f".now-{platform.node()}-{os.getpid()}-{threading.get_ident()}")
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now

    def _take_over(self) -> None:
        """Remove a lease whose holder is gone: by renaming, so that only one of several does."""
        away = self.path.with_name(f"{self.path.name}.{platform.node()}-{os.getpid()}")
        os.replace(self.path, away)
        if self._now() - away.stat().st_mtime > _STALE_AFTER:
            away.unlink()
        else:  # somebody had just taken it over: it stays theirs
            with contextlib.suppress(OSError):
                os.link(away, self.path)
            away.unlink()

    def _renew(self, released: threading.Event) -> None:
        while not released.wait(_RENEW_EVERY):
            with contextlib.suppress(OSError):
                os.utime(self.path)


def _lock_file(file: int, kind: LockKind) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    function: Any = fcntl.flock if kind == "flock" else fcntl.lockf
    function(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock_file(file: int, kind: LockKind) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
        return
    import fcntl

    function: Any = fcntl.flock if kind == "flock" else fcntl.lockf
    function(file, fcntl.LOCK_UN)


def working_kind(folder: Path) -> LockKind:
    """The first kind of lock that works in ``folder``. Raises UserError where none does."""
    reasons = []
    for kind in get_args(LockKind):
        probe = folder / f".probe-{platform.node()}-{os.getpid()}.lock"
        try:
            with Lock(probe, kind).hold(wait=False):
                return kind  # type: ignore[no-any-return]
        except (OSError, Busy) as error:
            reasons.append(f"{kind}: {error}")
        finally:
            probe.unlink(missing_ok=True)
    raise UserError(
        f"store_dir={folder.parent}: no lock works there ({'; '.join(reasons)}); choose another store_dir"
    )
