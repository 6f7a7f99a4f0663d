"""A configuration node checked against the class it configures, before anything is built."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dynprep.errors import UserError, nearest
from dynprep.foreign import describe_type, matches_type, shown
from dynprep.options import Range
from dynprep.stages.base import Stage
from dynprep.stages.context import StageContext

TARGET = "_target_"
_LONGEST_PATH = 200  # characters
Kind = TypeVar("Kind")
_CONTEXT = "context"  # the field of stages that the program fills, not the configuration


def ranges_of(kind: Any) -> list[tuple[Any, Range]]:
    """Each part of an annotated type that has a range, with it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return [(args[0], extra) for extra in args[1:] if isinstance(extra, Range)]
    if origin in (Union, types.UnionType):
        return [part for arg in args for part in ranges_of(arg)]
    return []


# packages whose modules may be imported because a configuration names them
_trusted = {"dynprep"}


def trust_packages(names: Sequence[str]) -> None:
    """Let ``_target_`` name classes of these packages, which the user has named on the command line."""
    _trusted.update(names)


def locate(path: str, where: str) -> type:
    """The dataclass at a dotted path. Raises UserError, naming the node ``where``, if there is none, or if it is in a
    package that the user has not named."""
    package = path.partition(".")[0]
    if not all(part.isidentifier() for part in path.split(".")) or len(path) > _LONGEST_PATH:
        raise UserError(f"{where}.{TARGET}={shown(path)}: the dotted path of a class is meant")
    if package not in _trusted:
        raise UserError(
            f"{where}.{TARGET}={path}: is not of dynprep; if you trust that package, add packages=[{package}] to the "
            "command line"
        )
    try:
        module, _, name = path.rpartition(".")
        target_class = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"{where}.{TARGET}={shown(path)}: no such class ({shown(str(error))})"
        ) from None
    configurable = isinstance(target_class, type) and (
        is_dataclass(target_class) or hasattr(target_class, "option_types")
    )
    if not configurable:
        raise UserError(f"{where}.{TARGET}={path}: not a class that options can configure")
    return target_class


def option_types(cls: type) -> dict[str, Any]:
    """The options that a class takes from the configuration, with their annotated types."""
    if hasattr(cls, "option_types"):  # options that follow from something else than fields
        named: dict[str, Any] = cls.option_types()
        return named
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in fields(cls) if f.init and f.name != _CONTEXT}  # type: ignore[arg-type]


def build(node: Mapping[str, Any], where: str, context: StageContext | None = None) -> Any:
    """The object that ``node`` describes: of the class in ``_target_``, with the other entries as its options.

    context: given to classes that are stages. Raises UserError naming the option for what is unknown, missing,
    of the wrong type or out of range.
    """
    target = node.get(TARGET)
    if not isinstance(target, str):
        raise UserError(f"{where}.{TARGET}={target}: the dotted path of a class is meant")
    cls = locate(target, where)
    options = {str(k): v for k, v in node.items() if k != TARGET}
    extra = {_CONTEXT: context} if issubclass(cls, Stage) else {}
    return build_one(cls, options, where, extra)


def build_one(
    cls: type[Kind], node: Mapping[str, Any], where: str, extra: Mapping[str, Any] | None = None
) -> Kind:
    """The object of ``cls`` that ``node`` describes, with ``extra`` arguments. Raises UserError as ``build`` does."""
    hints = option_types(cls)
    for name in node:
        if name not in hints:
            raise UserError(
                f"{_dotted(where, name)}: no such option; {nearest(name, sorted(hints))}"
            )
    for name, kind in hints.items():
        option = _dotted(where, name)
        if name not in node and not hasattr(cls, "option_types"):
            raise UserError(f"{option}: not set; {cls.__name__} needs it")
        if name in node:
            check_value(node[name], kind, option)
    try:
        return cls(**node, **(extra or {}))
    except ValueError as error:
        raise UserError(f"{where}: {error}" if where else str(error)) from None


def check_value(value: Any, kind: Any, option: str) -> None:
    """Raise UserError unless ``value`` is of the annotated type and in its range."""
    if not matches_type(value, kind):
        raise UserError(f"{option}={_typed(value)}: {describe_type(kind)} is meant")
    for part, allowed in ranges_of(kind):
        if matches_type(value, part) and not allowed.holds(value):
            others = [
                str(a)
                for arg in get_args(kind)
                if get_origin(arg) is Literal
                for a in get_args(arg)
            ]
            others += ["null"] if type(None) in get_args(kind) else []
            meant = ", or ".join([f"it must be {allowed.describe()}", *others])
            raise UserError(f"{option} is {_typed(value)}; {meant}")


def _typed(value: Any) -> str:
    """A value as it would stand on the command line, where it can."""
    is_plain = isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_PATH
    return str(value) if is_plain else shown(value)


def _dotted(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
