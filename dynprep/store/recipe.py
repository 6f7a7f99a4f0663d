"""What decides a result's bytes, and the key made of it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

_KEY_LENGTH = 32  # hex digits: 128 bits, no chance of two recipes with one key


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a result's bytes.

    ``options`` leave out what does not (batch size, devices, workers, logging). ``inputs`` holds
    the keys of the results it is made from, or content hashes of files from outside.
    """

    stage: str
    version: int
    backend: str
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Hex digits that name the result: a hash of the recipe's canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]
