"""Seals that were read lately, so that a plan of many scenes reads each of them once."""

import os
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from dynprep.store.seal import Seal

MOST_BYTES = 1 << 25  # of the seals' files; as objects they take about three times as much


class Written(NamedTuple):
    """Which file a seal was read from, and what tells that it is still the same.

    path, key: of the seal and its result; modified_ns, changed_ns, size, inode: of the file's status.
    """

    path: str
    key: str
    modified_ns: int
    changed_ns: int
    size: int
    inode: int


class SealCache:
    """Keeps the seals used last, as many as ``most_bytes`` of files hold; threads may share it.

    The seal used last stays whatever its size.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[Written, Seal | None] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, written: Written, read: Callable[[], Seal | None]) -> Seal | None:
        """The seal in the file ``written``, by ``read`` if it is not kept."""
        with self._lock:
            if written in self._kept:
                self._kept.move_to_end(written)
                return self._kept[written]
        seal = read()
        with self._lock:
            if written not in self._kept:
                self._kept[written] = seal
                self._bytes += written.size
            while self._bytes > self.most_bytes and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[0].size
        return seal

    def after_fork(self) -> None:
        """In a child process: free the lock, which a thread that the child does not have may have held."""
        self._lock = Lock()


SEALS = SealCache()
os.register_at_fork(after_in_child=SEALS.after_fork)
