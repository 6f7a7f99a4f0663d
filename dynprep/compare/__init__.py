"""Runs side by side: what differs, what it cost, how good it is, how far they agree."""

from dynprep.compare.make import compare, compare_sweep

__all__ = ["compare", "compare_sweep"]
