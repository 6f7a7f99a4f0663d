"""How much of this machine may be used."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

from threadpoolctl import threadpool_limits

Given = TypeVar("Given")
Found = TypeVar("Found")


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def same_sums() -> AbstractContextManager[object]:
    """A block in which linear algebra runs on one thread: more of them add in another order and give other bytes."""
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


def in_threads(work: Callable[[Given], Found], parts: Sequence[Given]) -> list[Found]:
    """What ``work`` makes of each part, in order, by as many threads as there are processors; a single part needs
    none."""
    if len(parts) <= 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(work, parts))
