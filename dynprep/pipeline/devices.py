"""Which GPU a job takes when several jobs share a machine."""

import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES would list of the GPUs that this process may use."""
    import torch

    count = torch.cuda.device_count()  # does not start CUDA, after which nothing could be chosen
    named = [part for part in os.environ.get(_VISIBLE, "").split(",") if part]
    return named[:count] if named else [str(k) for k in range(count)]


def take_one(gpus: list[str], locks: Path, number: int) -> FileLock | None:
    """Make this process see one of ``gpus`` alone: the first that no other job on this machine
    holds, or, when all are held, the ``number``-th. Returns the lock that holds it until this
    process ends; None where there is nothing to choose."""
    if len(gpus) < 2:
        return None
    locks.mkdir(parents=True, exist_ok=True)
    for gpu in gpus:
        lock = FileLock(locks / f"gpu-{platform.node()}-{gpu.replace('/', '_')}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        os.environ[_VISIBLE] = gpu
        return lock
    os.environ[_VISIBLE] = gpus[number % len(gpus)]
    return None
