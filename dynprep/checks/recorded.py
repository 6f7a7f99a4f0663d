"""A table of what networks gave on the demo's frames, recorded once by somebody with the published weights.

The file is JSON: ``format``, and by stage, weights (the hub's commit) and a hash of the options an entry with
``precision``, ``shape``, ``mean``, ``median``, ``span`` (2nd to 98th percentile) and ``pixels``, values at
fixed places. The table that comes with dynprep, ``published.json``, is empty: nobody has recorded any yet.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from dynprep.artefacts.base import Artefact
from dynprep.checks.line import Line, Mark
from dynprep.checks.values import numbers, span
from dynprep.errors import UserError
from dynprep.files import write_json
from dynprep.foreign import read_json

SHIPPED = Path(__file__).parent / "published.json"
_FORMAT = 1
_EXACT = "32-true"
_PIXELS = 16  # values that are kept of an output
_DIGITS = 16  # of hashes in names
_LARGE = 1_000_003  # a prime, so that the places lie all over the output


class Entry(TypedDict):
    """What one network gave: its values' shape (of the first frame), and numbers that stand for them."""

    precision: str
    shape: list[int]
    mean: float
    median: float
    span: float
    pixels: list[float]


class _Shape(TypedDict):
    format: int
    entries: dict[str, Entry]


def take(artefact: Artefact, precision: str) -> Entry:
    """The entry of an output that a network gave in this number format."""
    values = numbers(artefact)
    flat = np.concatenate([v.ravel() for v in values])
    places = (np.arange(_PIXELS) * _LARGE) % len(flat)
    return {
        "precision": precision,
        "shape": [len(values), *values[0].shape],
        "mean": float(flat.mean()),
        "median": float(np.median(flat)),
        "span": span(values),
        "pixels": [float(v) for v in flat[places]],
    }


def entry_name(stage: str, weights: str, options: Mapping[str, Any]) -> str:
    """Under which name an output is recorded: the stage, its weights, and what else decides its numbers."""
    if not weights.startswith("hub:"):  # a local copy's identity is a list of files
        weights = f"local:{hashlib.sha256(weights.encode()).hexdigest()[:_DIGITS]}"
    text = json.dumps(options, sort_keys=True, default=str)
    return f"{stage} {weights} {hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"


@dataclass
class Recorded:
    """Entries by ``entry_name``. path: the file they are from, or will be written to."""

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Recorded":
        """The table in a file. Raises UserError where it is none."""
        content: _Shape = read_json(path, _Shape)
        if content["format"] != _FORMAT:
            raise UserError(f"{path}: its format is {content['format']}, {_FORMAT} is meant")
        for name, entry in content["entries"].items():
            if entry["span"] <= 0 or len(entry["pixels"]) != _PIXELS:
                raise UserError(
                    f"{path}: {name}: its span or its pixels are not as they are recorded"
                )
        return cls(path, content["entries"])

    def write(self) -> None:
        """Write the table to its file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {"format": _FORMAT, "entries": self.entries})

    def put(self, name: str, entry: Entry) -> None:
        """Note what a network gave."""
        self.entries[name] = entry

    def compare(self, name: str, about: str, entry: Entry, exact: float, half: float) -> list[Line]:
        """A line on whether a network gives what was recorded; none where nothing was recorded under this name.

        exact, half: the largest differences as shares of the recorded span, where both are of float32, else.
        """
        known = self.entries.get(name)
        if known is None:
            if self.path == SHIPPED:
                return []
            text = f"nothing was recorded in {self.path.name} for these weights with these options"
            return [Line(about, Mark.NOTE, text)]
        bound = exact if known["precision"] == entry["precision"] == _EXACT else half
        if known["shape"] != entry["shape"]:
            text = f"gives {entry['shape']} where {known['shape']} was recorded in {self.path.name}"
            return [Line(about, Mark.WRONG, f"{text}: the same options as then are needed")]
        pairs = [(known[k], entry[k]) for k in ("mean", "median", "span")]  # type: ignore[literal-required]
        pairs += zip(known["pixels"], entry["pixels"], strict=True)
        off = max(abs(a - b) for a, b in pairs) / known["span"]
        figures: dict[str, float | str | None] = {"off": off, "bound": bound}
        if off > bound:
            text = (
                f"differs by {off:.2g} of the range from what was recorded in {self.path.name} "
                f"({known['precision']}); {bound:g} is allowed: "
                "compare the versions of torch and transformers, and the weights"
            )
            return [Line(about, Mark.WRONG, text, figures)]
        text = f"gives what was recorded in {self.path.name}, to {off:.2g} of the range"
        return [Line(about, Mark.OK, text, figures)]
