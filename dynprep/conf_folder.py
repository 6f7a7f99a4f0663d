"""Where configuration files are: dynprep's own, and those of the user's that add to them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

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


def shared_parts(path: Path) -> Iterator[Path]:
    """Files of the shared parts that a choice's defaults list names, in their order.

    A part is a file of the same folder, or, as ``/_shared/NAME@_here_``, of the configuration's root.
    """
    node = yaml.safe_load(path.read_text()) or {}
    for part in node.get("defaults", []):
        if not isinstance(part, str) or part == "_self_":
            continue
        name = part.partition("@")[0]
        root = path.parent.parent if name.startswith("/") else path.parent
        file = root / f"{name.lstrip('/')}.yaml"
        if file.is_file():
            yield file


def read_choice(path: Path) -> dict[str, Any]:
    """The options of a choice's file, those of its shared parts included, as Hydra would merge them."""
    merged: dict[str, Any] = {}
    for part in shared_parts(path):
        merged |= read_choice(part)
    own = yaml.safe_load(path.read_text()) or {}
    return {**merged, **{str(k): v for k, v in own.items() if k != "defaults"}}
