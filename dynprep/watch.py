"""How work is followed by whoever watches it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]  # so many more items are done
# (what, items to do) -> a context that gives Advance
Watch = Callable[[str, int], AbstractContextManager[Advance]]
Say = Callable[[str], None]  # one line


@contextmanager
def no_progress(name: str, total: int) -> Iterator[Advance]:
    """Follow work without showing anything."""
    yield lambda count: None
