"""Numbers of a scene's results: against what is known to be true, and without it."""

from dynprep.scores.cached import consistency, score

__all__ = ["consistency", "score"]
