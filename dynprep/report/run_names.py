"""Names of runs in W&B, which people can tell apart and say aloud."""

import hashlib
from pathlib import Path

# fmt: off
_WORDS = (
    "able", "amber", "apt", "bold", "brave", "brief", "bright", "brisk", "calm", "candid", "clear", "clever",
    "cosy", "crisp", "curious", "daring", "deft", "eager", "early", "even", "fair", "fancy", "fine", "firm",
    "fleet", "fond", "frank", "fresh", "gentle", "golden", "grand", "happy", "hardy", "honest", "humble",
    "jolly", "keen", "kind", "late", "light", "lively", "lofty", "loyal", "lucid", "lucky", "mellow", "merry",
    "mild", "modest", "neat", "nimble", "noble", "novel", "open", "patient", "plain", "polite", "prime",
    "proud", "pure", "quick", "quiet", "rapid", "rare", "ready", "ripe", "round", "royal", "rustic", "sage",
    "serene", "sharp", "shiny", "silent", "simple", "sleek", "smart", "smooth", "snug", "sober", "solid",
    "spry", "stable", "steady", "stout", "sturdy", "sunny", "swift", "tall", "tame", "tidy", "tough", "true",
    "trusty", "vast", "vivid", "warm", "wary", "wise", "witty", "young",
)
# fmt: on


def run_name(scenes: str, folder: Path, number: int | None) -> str:
    """Such as ``dog-brisk`` or, of a multirun's job, ``dog-brisk-3``. folder: the run's, which decides the word."""
    digest = hashlib.sha256(str(folder).encode()).hexdigest()
    word = _WORDS[int(digest, 16) % len(_WORDS)]
    job = "" if number is None else f"-{number}"
    return f"{scenes.partition('/')[0]}-{word}{job}"
