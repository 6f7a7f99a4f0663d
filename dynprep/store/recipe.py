"""What decides a result's bytes, and the key made of it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

KEY_LENGTH = 32  # hex digits: 128 bits, no chance of two recipes with one key


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a result's bytes.

    stage: name of what is made; backend: explicit short id of how, which stays when a class is renamed or moved;
    kind_version, backend_version: raised when the same options give other bytes; options: those that can act,
    without what changes no bytes (batch size, devices, workers, logging); weights: identity of the network's
    weights; inputs: keys of the results it is made from, and, as ``file:NAME``, content hashes of files from
    outside.
    """

    stage: str
    backend: str
    kind_version: int = 1
    backend_version: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Hex digits that name the result: a hash of the recipe's canonical JSON, made once: every file asks for it."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
