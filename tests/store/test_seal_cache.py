"""Seals kept in memory: each is read once, and no more are kept than there is room for."""

import os
import signal
import time

from hypothesis import given
from hypothesis import strategies as st

from dynprep.store.seal import Seal
from dynprep.store.seal_cache import SEALS, SealCache, Written

LOOKS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), max_size=40)


def _written(number: int, size: int) -> Written:
    return Written(f"{number}/result.json", "key", 0, 0, size, number)


@given(LOOKS)
def test_what_was_looked_at_last_is_kept_within_the_room(looks: list[tuple[int, int]]) -> None:
    room, read, order = 5, [], []
    cache = SealCache(room)
    for number, size in looks:
        written = _written(number, size)

        def seal(written: Written = written) -> Seal | None:
            read.append(written)
            return None

        before = len(read)
        kept = []
        for one in reversed(order):
            if sum(k.size for k in kept) + one.size > room:
                break
            kept.append(one)
        assert cache.get(written, seal) is None
        assert (len(read) == before) == (written in kept)
        order = [one for one in order if one != written] + [written]


def test_a_file_that_changed_is_read_again() -> None:
    cache, read = SealCache(), []
    first = _written(1, 10)
    for written in (first, first, first._replace(modified_ns=1), first._replace(inode=9)):
        cache.get(written, lambda written=written: read.append(written))  # type: ignore[misc]
    assert len(read) == 3


def test_one_that_is_larger_than_the_room_is_kept_until_the_next() -> None:
    cache, read = SealCache(5), []
    for number in (1, 1, 2, 1):
        cache.get(_written(number, 50), lambda: read.append(0))
    assert len(read) == 3


def test_a_child_forked_while_a_thread_looks_does_not_wait_for_ever() -> None:
    with SEALS._lock:
        child = os.fork()
        if not child:
            SEALS.get(_written(1, 1), lambda: None)
            os._exit(0)
    deadline = time.monotonic() + 20
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == (child, 0)
