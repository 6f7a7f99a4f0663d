"""Imports that take seconds, begun in a thread while the run does something else."""

import importlib
import threading

_under_way: list[threading.Thread] = []


def begin(module: str) -> None:
    """Begin to import ``module``. An error shows where the module is used."""
    thread = threading.Thread(target=_import, args=(module,), daemon=True)
    _under_way.append(thread)
    thread.start()


def wait() -> None:
    """Return when what was begun has ended: a process that is forked meanwhile would inherit locks of imports."""
    while _under_way:
        _under_way.pop().join()


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:  # whoever uses the module meets the same error, and says it
        return
