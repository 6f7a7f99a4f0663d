"""Which GPU a job takes when several jobs share a machine, and why none can be used."""

import getpass
import os
import re
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from dynprep.errors import UserError
from dynprep.store.locks import Busy, Lock

_DRIVER = Path("/proc/driver/nvidia/version")
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_SCHEDULED = "SLURM_JOB_ID"  # the cluster has chosen already
# of this process, until it ends: CUDA keeps the device that it was started with
_held = ExitStack()
_claims: list[str] = []


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES would list of the GPUs that this process may use."""
    import torch

    count = torch.cuda.device_count()  # does not start CUDA, after which nothing could be chosen
    named = [part for part in os.environ.get(_VISIBLE, "").split(",") if part]
    return named[:count] if named else [str(k) for k in range(count)]


def nvidia_driver() -> str | None:
    """Version of NVIDIA's driver, such as ``535.104.05``; None where there is none, or none that Linux knows of."""
    if not _DRIVER.is_file():
        return None
    version = re.search(r"\d+\.\d+(\.\d+)?", _DRIVER.read_text())
    return version.group() if version else "of unknown version"


def why_no_gpu() -> str | None:
    """Why a PyTorch that was built for CUDA sees no GPU, as a line for the user; None where that is not so."""
    import torch

    built = torch.version.cuda
    if built is None or torch.cuda.is_available():
        return None
    driver = nvidia_driver()
    sees = f"PyTorch {torch.__version__} is built for CUDA {built} and sees no GPU"
    if driver is None:
        return f"{sees}: no NVIDIA driver was found; networks run on the CPU (trainer=cpu says so)"
    return (
        f"{sees} through NVIDIA's driver {driver}: networks run on the CPU; update the driver, or install a PyTorch "
        "that is built for an older CUDA"
    )


def claim_gpu(devices: int | Literal["auto"], number: int) -> None:
    """Make this process see one GPU alone, where there are several: the first that no other job on
    this machine holds, or, when all are held, the ``number``-th. It is kept until the process ends.

    devices: the option ``trainer.devices``; with a number above 1 nothing changes.
    """
    if _claims or devices not in ("auto", 1) or _SCHEDULED in os.environ:
        return
    gpus = visible_gpus()
    if len(gpus) < 2:
        return
    locks = _own_folder(Path(tempfile.gettempdir()) / f"dynprep-gpus-{_user()}")
    for gpu in gpus:
        lock = Lock(locks / f"{gpu.replace('/', '_')}.lock", "flock")
        try:
            _held.enter_context(lock.hold(wait=False))
        except Busy:
            continue
        os.environ[_VISIBLE] = gpu
        _claims.append(gpu)
        return
    os.environ[_VISIBLE] = gpus[number % len(gpus)]


def _user() -> str:
    """The user's name, or number where a container knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _own_folder(path: Path) -> Path:
    """The folder, made for this user alone. Raises UserError where another user has put something there."""
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    is_own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if not stat.S_ISDIR(status.st_mode) or not is_own:
        raise UserError(
            f"{path}: is not this user's folder, so jobs cannot share GPUs through it; remove it, or set "
            "trainer.one_gpu_a_job=false"
        )
    return path
