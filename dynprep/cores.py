"""How much of this machine may be used."""

import os
from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def same_sums() -> AbstractContextManager[object]:
    """A block in which linear algebra runs on one thread: more of them add in another order and give other bytes."""
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
