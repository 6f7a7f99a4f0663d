"""Stopping when told to: at Ctrl-C, at SIGTERM, and when the program that started this process is gone."""

import ctypes
import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

STOPPED = 130  # the exit status of a program that was interrupted
MESSAGE = "stopped; run the same command again to go on where it stopped"
_GRACE = 8.0  # seconds to end in order, after which the process ends all the same
_LOOK_EVERY = 1.0  # seconds
_MAIN = "DYNPREP_MAIN"  # environment of jobs that launchers start: machine and number of the main process
_SUBMITIT = "SUBMITIT_EXECUTOR"  # environment of jobs that submitit runs
_OF_CLUSTERS = ("SIGTERM", "SIGUSR1", "SIGUSR2")  # what submitit jobs are told with
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux

_told: list[int] = []
_owner: list[int] = []  # the process that the handlers are meant for: children inherit them


def install() -> None:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt in the main thread, and end the program within some seconds."""
    if threading.current_thread() is not threading.main_thread():
        return
    _owner[:] = [os.getpid()]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    sys.unraisablehook = _show_unraisable


def restore() -> None:
    """Put the handlers back, where ``install`` had set them in this process and a library replaced them."""
    if _owner == [os.getpid()]:
        install()


def is_told() -> bool:
    """Whether this process was told to stop, even if whatever ran then swallowed the interrupt."""
    return bool(_told) and _owner == [os.getpid()]


def check() -> None:
    """Raise KeyboardInterrupt in a process that was told to stop."""
    if is_told():
        raise KeyboardInterrupt


def _stop(number: int, frame: FrameType | None) -> None:
    if _owner != [os.getpid()]:  # a child that has not set its own handlers yet
        os._exit(128 + number)
    first = not _told
    _told.append(number)
    if first:  # more of them change nothing: the end is near
        end = threading.Timer(_GRACE, _end_now)
        end.daemon = True
        end.start()
        raise KeyboardInterrupt


def _show_unraisable(event: "sys.UnraisableHookArgs") -> None:
    """Once told to stop say nothing of what cannot be raised: the interrupt itself, in what Python does around a fork
    (``check`` raises it again), and errors of objects that it left half made."""
    if not is_told():
        sys.__unraisablehook__(event)


def _end_now() -> None:
    # what was stored is whole, since files get their names when they are complete
    os.write(2, f"dynprep: {MESSAGE}\n".encode())
    os._exit(STOPPED)


def obey_parent() -> None:
    """Make this child of ``multiprocessing`` leave Ctrl-C to its parent, end at SIGTERM, and end with its parent.

    In a job of a cluster it leaves all signals to its parent: Slurm sends them to every process of a job, also the ones
    by which submitit gives a job back to the queue.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    number = parent.pid
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _SUBMITIT in os.environ:
        for name in _OF_CLUSTERS:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    _watch(lambda: os.getppid() == number)


def announce_main() -> None:
    """Tell jobs that a launcher starts which process they belong to."""
    os.environ[_MAIN] = f"{platform.node()} {os.getpid()}"


def end_with_main() -> None:
    """Make a job end when the process that ``announce_main`` named is gone, on the same machine.

    Jobs of a cluster go on by themselves.
    """
    machine, _, number = os.environ.get(_MAIN, "").rpartition(" ")
    if machine == platform.node() and number.isdigit() and "SLURM_JOB_ID" not in os.environ:
        main = int(number)
        if main != os.getpid():
            _watch(lambda: _is_alive(main))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _watch(lives: Callable[[], bool]) -> None:
    """End this process once ``lives`` says no."""

    def look() -> None:
        while lives():
            time.sleep(_LOOK_EVERY)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
