"""Numbers of a scene's results: against what is known to be true, and without it."""

from dynprep.scores.kept import Scores, consistency, score

__all__ = ["Scores", "consistency", "score"]
