"""What a result's folder says of itself: what it is made by and of, which items are complete, and their files."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from dynprep.foreign import (
    MOST_JSON_BYTES,
    Malformed,
    check,
    is_inside,
    read_json,
    read_limited,
)
from dynprep.store.recipe import Recipe


@dataclass
class Item:
    """One complete item: its files by name with (size in bytes, SHA-256), and notes to the user."""

    name: str
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class RecipeShape(TypedDict):
    """A recipe as JSON."""

    stage: str
    backend: str
    kind_version: int
    backend_version: int
    options: dict[str, Any]
    weights: str | None
    inputs: dict[str, str]


class ItemShape(TypedDict):
    """An item as JSON; files: [size in bytes, SHA-256] by name."""

    name: str
    files: dict[str, list[Any]]
    notes: list[str]


class BeginningShape(TypedDict):
    """What is written when a result is begun.

    made_from: by input, ``Seal.content`` then.
    """

    recipe: RecipeShape
    made_from: dict[str, str]


class SealShape(BeginningShape):
    """What is written when a result is complete; facts are for people and for comparisons."""

    items: list[ItemShape]
    versions: NotRequired[dict[str, str]]
    device: NotRequired[str]
    seconds: NotRequired[float]
    memory: NotRequired[int | None]
    device_memory: NotRequired[int | None]
    licence: NotRequired[str | None]
    view: NotRequired[bool]


@dataclass(frozen=True)
class Seal:
    """A complete result's own account.

    items: by name; made_from: by input, what identified its content; facts: everything else that was noted.
    """

    recipe: Recipe
    items: dict[str, Item]
    made_from: dict[str, str]
    facts: dict[str, Any]

    @cached_property
    def files(self) -> dict[str, tuple[int, str]]:
        """(Size in bytes, SHA-256) of every file, by name."""
        return {name: fact for item in self.items.values() for name, fact in item.files.items()}

    @cached_property
    def content(self) -> str:
        """A SHA-256 of the names and hashes of all files: the same for the same bytes."""
        lines = sorted(f"{name} {digest}" for name, (_, digest) in self.files.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_seal(path: Path, stage: str, key: str) -> Seal | None:
    """The seal in the file ``path`` of the result ``key``; None where it is absent, damaged, or another result's."""
    try:
        raw: SealShape = read_json(path, SealShape)
        recipe = Recipe(**raw["recipe"])
        items = {entry["name"]: item_of(entry, str(path)) for entry in raw["items"]}
    except (OSError, Malformed, TypeError, ValueError):
        return None
    if (recipe.stage, recipe.key) != (stage, key):
        return None
    facts = {k: v for k, v in raw.items() if k not in ("recipe", "items", "made_from")}
    return Seal(recipe, items, raw["made_from"], facts)


def read_beginning(path: Path, stage: str, key: str) -> BeginningShape | None:
    """What was written when a result was begun; None as for ``read_seal``."""
    try:
        raw: BeginningShape = read_json(path, BeginningShape)
        recipe = Recipe(**raw["recipe"])
        matches = (recipe.stage, recipe.key) == (stage, key)
    except (OSError, Malformed, TypeError, ValueError):
        return None
    return raw if matches else None


def read_index(paths: Iterable[Path]) -> dict[str, Item]:
    """Items in index files, by name; a line that a crash cut short does not count."""
    items: dict[str, Item] = {}
    for path in paths:
        try:
            content = read_limited(path, MOST_JSON_BYTES)
        except (OSError, Malformed):
            continue
        for line in content.splitlines():
            try:
                entry = json.loads(line)
                check(entry, ItemShape, str(path))
                items[entry["name"]] = item_of(entry, str(path))
            except (ValueError, Malformed, RecursionError):
                continue
    return items


def item_of(entry: ItemShape, where: str) -> Item:
    """An item of its JSON. Raises Malformed for files without size and hash, or outside of the result's folder."""
    files = {}
    for name, fact in entry["files"].items():
        match fact:
            case [int(size), str(digest)] if is_inside(name):
                files[name] = (size, digest)
            case _:
                raise Malformed(f"{where}: '{name}' is no file with its size and hash")
    return Item(entry["name"], files, list(entry["notes"]))


def seal_json(recipe: Recipe, made_from: dict[str, str], items: Iterable[Item], facts: Any) -> Any:
    """The JSON value of a seal."""
    return {
        "recipe": asdict(recipe),
        "made_from": made_from,
        **facts,
        "items": [asdict(item) for item in items],
    }
