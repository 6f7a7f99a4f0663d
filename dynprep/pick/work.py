"""Work that threads ask for and one thread does, in order: networks and Ctrl-C belong to the program's first thread."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Value = TypeVar("Value")

_LOOK_EVERY = 0.2  # seconds


@dataclass
class Work:
    """A queue of calls. is_over: whether ``do`` has ended, or is about to."""

    is_over: bool = False
    _queue: "SimpleQueue[tuple[Future[Any], Callable[[], Any]]]" = field(
        default_factory=SimpleQueue
    )

    def ask(self, call: Callable[[], Value]) -> "Future[Value]":
        """Have ``call`` done by the thread that is in ``do``."""
        future: Future[Value] = Future()
        self._queue.put((future, call))
        return future

    def do(self, alive: Callable[[], bool]) -> None:
        """Do what is asked for until ``is_over``, or until ``alive`` says no."""
        while not self.is_over and alive():
            try:
                future, call = self._queue.get(timeout=_LOOK_EVERY)
            except Empty:
                continue
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)
