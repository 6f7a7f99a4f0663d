"""Where configuration files are: dynprep's own, and those of the user's that add to them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from dynprep.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "conf"
# in a checkout conf/ stands beside the package, where users edit it; a wheel carries it inside
CONF = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "conf"
_USERS = "conf"  # folder of the user's in the working directory


def users_conf() -> Path | None:
    """The folder ``conf`` in the working directory, unless it is dynprep's own."""
    folder = Path(_USERS).absolute()
    return folder if folder.is_dir() and not folder.samefile(CONF) else None


def conf_folders(arguments: Sequence[str] = ()) -> list[Path]:
    """All folders of configuration files; arguments: the command line, whose --config-dir may name one more."""
    folders = [CONF]
    for k, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in ("--config-dir", "-cd"):
            folders.append(Path(value or next(iter(arguments[k + 1 : k + 2]), "")).absolute())
    users = users_conf()
    return folders + ([users] if users is not None else [])


def choices_of(group: str, folders: Sequence[Path]) -> dict[str, Path]:
    """The choices of a group, by name, with their files; names that begin with _ are shared parts, not choices."""
    files = [path for folder in folders for path in sorted((folder / group).glob("*.yaml"))]
    return {path.stem: path for path in reversed(files) if not path.stem.startswith("_")}


def shared_parts(path: Path) -> Iterator[tuple[Path, str]]:
    """Files of the shared parts that a choice's defaults list names, in their order, with the node each fills.

    A part is a file of the same folder, or, as ``/_shared/NAME@_here_``, of the configuration's root. The node is empty
    for the choice's own, which ``_here_`` means too.
    """
    for part in read_yaml(path).get("defaults") or []:
        if not isinstance(part, str) or part == "_self_":
            continue
        name, _, node = part.partition("@")
        root = path.parent.parent if name.startswith("/") else path.parent
        file = root / f"{name.lstrip('/')}.yaml"
        if file.is_file():
            yield file, "" if node == "_here_" else node


def read_choice(path: Path) -> dict[str, Any]:
    """The options of a choice's file, those of its shared parts included, as Hydra would merge them."""
    merged: dict[str, Any] = {}
    for part, node in shared_parts(path):
        merged |= {node: read_choice(part)} if node else read_choice(part)
    for name, value in read_yaml(path).items():
        below = merged.get(str(name))
        is_added_to = isinstance(below, dict) and isinstance(value, dict)
        merged[str(name)] = {**(below or {}), **value} if is_added_to else value
    merged.pop("defaults", None)
    return merged


def read_yaml(path: Path) -> dict[Any, Any]:
    """The options in one file of a configuration. Raises UserError for what is no such file."""
    try:
        node = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    # of a damaged file PyYAML also raises what Python does for the parts of a date or a number
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: no YAML ({why})") from None
    defaults = node.get("defaults", []) if isinstance(node, dict) else None
    if defaults is not None and not isinstance(defaults, list):
        raise UserError(f"{path}: its defaults are no list")
    if not isinstance(node, dict):
        raise UserError(f"{path}: holds no options by name")
    return node
