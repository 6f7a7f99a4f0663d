"""Memory of this process: most in use between two moments, and what was freed given back."""

import contextlib
import ctypes
import sys
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET = "5"  # proc(5): forget the most that was resident


def forget_peak() -> None:
    """Start to count anew. Where the system cannot reset its counter, earlier use counts too."""
    if _CLEAR.exists():
        with contextlib.suppress(OSError):  # a container may forbid it: the whole process counts
            _CLEAR.write_text(_RESET)
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def give_back() -> None:
    """Give the system what was freed. The C library keeps it for each thread apart, so that a process would grow with
    every scene although nothing is kept."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # a C library without it
            ctypes.CDLL(None).malloc_trim(0)


def peak() -> int | None:
    """Bytes resident in this process at most since ``forget_peak``; None where nobody counts."""
    if not _STATUS.exists():
        return None
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def device_peak() -> int | None:
    """Bytes of the GPU's memory at most since ``forget_peak``; None where none was used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.max_memory_allocated())
