"""A configuration node checked against the class it configures, before anything is built."""

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dynprep.errors import UserError, nearest

TARGET = "_target_"
Kind = TypeVar("Kind")


def fits(value: Any, kind: Any) -> bool:
    """Whether ``value`` (from YAML) is of the annotated type; whole numbers pass as floats,
    NaN and infinity do not."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in args and not (isinstance(value, bool) and True not in args)
    if origin in (Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin in (list, tuple, Sequence):
        return isinstance(value, list) and all(fits(v, args[0]) for v in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(fits(v, args[1]) for v in value.values())
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is None or kind is type(None):
        return value is None
    return isinstance(value, kind)


def spoken(kind: Any) -> str:
    """An annotated type as a person would say it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(str(a) for a in args)
    if origin in (Union, types.UnionType):
        return " or ".join(spoken(a) for a in args)
    if origin in (list, tuple, Sequence):
        return f"a list of {spoken(args[0])}"
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return "null" if kind in (None, type(None)) else names.get(kind, str(kind))


def locate(path: str, where: str) -> type:
    """The class at a dotted path."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}.{TARGET}={path}: no such class ({error})") from None
    assert is_dataclass(found), f"{path} is no dataclass"
    return found  # type: ignore[return-value]


def build(node: Mapping[str, Any], where: str, **given: Any) -> list[Any]:
    """The objects that ``node`` describes, one for each class in ``_target_``.

    Options go to every class that has them; ``given`` holds what the program supplies to classes
    that ask for it. Raises UserError naming the option for what is unknown, missing, of the wrong
    type or out of range.
    """
    target = node.get(TARGET)
    paths = [target] if isinstance(target, str) else list(target or [])
    classes = [locate(path, where) for path in paths]
    options = {str(k): v for k, v in node.items() if k != TARGET}
    known = {f.name for cls in classes for f in fields(cls)} - set(given)
    for name in options:
        if classes and name not in known:
            raise UserError(f"{where}.{name}: no such option; {nearest(name, sorted(known))}")
    return [_one(cls, options, where, given) for cls in classes]


def build_one(cls: type[Kind], node: Mapping[str, Any], where: str) -> Kind:
    """The object of ``cls`` that ``node`` describes. Raises UserError as ``build`` does."""
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    for name in node:
        if name not in known:
            raise UserError(f"{where}.{name}: no such option; {nearest(name, known)}")
    found: Kind = _one(cls, node, where, {})
    return found


def _one(cls: type, options: Mapping[str, Any], where: str, given: Mapping[str, Any]) -> Any:
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name in given:
            values[field.name] = given[field.name]
            continue
        if field.name not in options:
            raise UserError(f"{where}.{field.name}: not set; {cls.__name__} needs it")
        value = options[field.name]
        if not fits(value, hints[field.name]):
            raise UserError(f"{where}.{field.name}={value}: {spoken(hints[field.name])} is meant")
        values[field.name] = value
    try:
        return cls(**values)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
