"""Which GPU a job takes when several jobs share a machine."""

import getpass
import os
import tempfile
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_SCHEDULED = "SLURM_JOB_ID"  # the cluster has chosen already
# of this process, until it ends: CUDA keeps the device that it was started with
_held: list[FileLock] = []


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES would list of the GPUs that this process may use."""
    import torch

    count = torch.cuda.device_count()  # does not start CUDA, after which nothing could be chosen
    named = [part for part in os.environ.get(_VISIBLE, "").split(",") if part]
    return named[:count] if named else [str(k) for k in range(count)]


def claim_gpu(devices: int | Literal["auto"], number: int) -> None:
    """Make this process see one GPU alone, where there are several: the first that no other job on
    this machine holds, or, when all are held, the ``number``-th. It is kept until the process ends.

    devices: the option ``trainer.devices``; with a number above 1 nothing changes.
    """
    if _held or devices not in ("auto", 1) or _SCHEDULED in os.environ:
        return
    gpus = visible_gpus()
    if len(gpus) < 2:
        return
    locks = Path(tempfile.gettempdir()) / f"dynprep-gpus-{getpass.getuser()}"
    locks.mkdir(exist_ok=True)
    for gpu in gpus:
        lock = FileLock(locks / f"{gpu.replace('/', '_')}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        os.environ[_VISIBLE] = gpu
        _held.append(lock)
        return
    os.environ[_VISIBLE] = gpus[number % len(gpus)]
