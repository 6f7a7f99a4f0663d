"""Files from outside, which may hold anything: read with limits, checked against a type, refused in one line."""

import json
import math
import os
import stat
import types
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from dynprep.errors import UserError

MOST_JSON_BYTES = 1 << 28  # a record of 10,000 scenes has less
_LONGEST_NAME = 255  # bytes, on the usual file systems
_SHOWN = 60  # characters of a value in a message


class Malformed(UserError):
    """A file from outside that does not hold what it should."""


def read_limited(path: Path, most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises Malformed for a pipe, a device and a larger file, OSError for what cannot be opened.
    """
    try:  # a pipe would block the open itself
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except ValueError:
        raise Malformed(f"{str(path)!r}: is no path") from None
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        os.close(descriptor)
        raise Malformed(f"{path}: is a folder, a file is meant")
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(status.st_mode):
            raise Malformed(f"{path}: is a pipe or a device, a file is meant")
        if status.st_size > most:
            raise Malformed(f"{path}: has {status.st_size} bytes, at most {most} are read")
        return file.read(most)


def read_json(path: Path, kind: Any, most: int = MOST_JSON_BYTES) -> Any:
    """The value in a JSON file, which must be of the annotated type ``kind`` (see ``check``).

    Raises Malformed for anything else, OSError for a file that cannot be opened.
    """
    content = read_limited(path, most)
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise Malformed(f"{path}: not valid JSON (nested too deeply)") from None
    except ValueError as error:
        raise Malformed(f"{path}: not valid JSON ({error})") from None
    check(value, kind, str(path))
    return value


def check(value: Any, kind: Any, where: str) -> None:
    """Raise Malformed unless ``value`` is of the annotated type.

    kind: str, int, float, bool, None, Any, Literal, Union, list, dict and TypedDict of these, in which keys that
    it does not name are let through; where: names the value in the message.
    """
    if is_typeddict(kind):
        if not isinstance(value, dict):
            raise Malformed(f"{where}: {shown(value)} is no JSON object with names")
        for name, inner in _names(kind).items():
            if name in value:
                check(value[name], inner, f"{where}: {name}")
            elif name in kind.__required_keys__:
                raise Malformed(f"{where}: has no '{name}'")
        return
    origin, args = get_origin(kind), get_args(kind)
    if origin in (list, Sequence) and isinstance(value, list):
        for place, item in enumerate(value):
            check(item, args[0], f"{where}[{place}]")
    elif origin in (dict, Mapping) and isinstance(value, dict):
        for name, item in value.items():
            check(item, args[1], f"{where}: {shown(name)}")
    elif origin in (Union, types.UnionType) and any(map(is_typeddict, args)):
        if not (value is None and type(None) in args):
            check(value, next(filter(is_typeddict, args)), where)
    elif not matches_type(value, kind):
        raise Malformed(f"{where}: {shown(value)} is not {describe_type(kind)}")


def is_inside(name: str) -> bool:
    """Whether the relative path ``name`` leads to something in the folder that it starts from."""
    path = PurePosixPath(name)
    is_short = all(len(p.encode("utf-8", "surrogatepass")) <= _LONGEST_NAME for p in path.parts)
    is_within = not path.is_absolute() and ".." not in path.parts
    return bool(path.parts) and is_within and is_short and "\0" not in name


def shown(value: Any) -> str:
    """A value in a message: on one line, shortened."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = "a number that is too long"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def matches_type(value: Any, kind: Any) -> bool:
    """Whether ``value`` (from YAML or JSON) is of the annotated type.

    Whole numbers pass as floats; NaN, infinity and numbers beyond a float's range do not. Ranges are not looked at.
    """
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return matches_type(value, args[0])
    if kind is Any:
        return True
    if origin is Literal:
        return value in args and not (isinstance(value, bool) and True not in args)
    if origin in (Union, types.UnionType):
        return any(matches_type(value, arg) for arg in args)
    if origin in (list, tuple, Sequence):
        return isinstance(value, list) and all(matches_type(v, args[0]) for v in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(matches_type(v, args[1]) for v in value.values())
    if kind is float:
        return is_number(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is None or kind is type(None):
        return value is None
    return isinstance(value, kind)


def is_number(value: Any) -> bool:
    """Whether ``value`` is a finite number; true and false are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def describe_type(kind: Any) -> str:
    """An annotated type as a person would say it."""
    origin, args = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        return f"entries with {', '.join(_names(kind))}"
    if origin is Annotated:
        return describe_type(args[0])
    if origin is Literal:
        return " or ".join(str(a) for a in args)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(a) for a in args)
    if origin in (list, tuple, Sequence):
        return f"a list of {describe_type(args[0])}"
    if origin in (dict, Mapping):
        return f"names with {describe_type(args[1])} each"
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return "null" if kind in (None, type(None)) else names.get(kind, str(kind))


@lru_cache
def _names(kind: Any) -> dict[str, Any]:
    """The names of a TypedDict and the types of their values; Python works them out anew each time."""
    return get_type_hints(kind)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
