"""How a run is followed by whoever watches it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

Advance = Callable[[int], None]  # so many more items are done
# (stage, items to do) -> a context that gives Advance
Watch = Callable[[str, int], AbstractContextManager[Advance]]
Say = Callable[[str], None]  # one line
