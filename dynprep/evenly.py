"""A few of many, evenly spaced."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` of the items, evenly spaced, the first and the last included."""
    at = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[k] for k in np.unique(at)]
