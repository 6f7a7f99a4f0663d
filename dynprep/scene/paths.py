"""What ``data.path`` may be: a path, several, a pattern, a list in a file; and the part of the scenes in a shard."""

import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import TypeVar

from dynprep.errors import NothingToDo, UserError
from dynprep.remote.address import RemotePath, is_remote

LIST = ".txt"  # how a file ends that lists paths, one a line
_COMMENT = "#"  # how a line of such a file begins that is none
_PATTERN = "*?["
_SHARD = re.compile(r"(\d+)/(\d+)")

Item = TypeVar("Item")


def given_paths(path: str | list[str] | None, example: str) -> list[Path | RemotePath]:
    """The files and folders that ``data.path`` names, in its order, those of a pattern by name; addresses as they are.

    Raises UserError for one that does not exist, a pattern that matches nothing, and an empty list. example: for the
    message where nothing is set.
    """
    if not path:
        raise UserError(f"data.path is not set; say where the frames are, e.g. data.path={example}")
    paths: list[Path | RemotePath] = []
    for one in [path] if isinstance(path, str) else path:
        paths += [RemotePath(one)] if is_remote(one) else _listed(Path(one).expanduser())
    return paths


def _listed(path: Path) -> list[Path | RemotePath]:
    if path.suffix == LIST and path.is_file():
        lines = [line.strip() for line in path.read_text(errors="surrogateescape").splitlines()]
        named = [line for line in lines if line and not line.startswith(_COMMENT)]
        if not named:
            raise UserError(f"{path}: lists no path; write one a line")
        # of the list's own folder, wherever the command is given
        return [
            RemotePath(line)
            if is_remote(line)
            else _existing(path.parent / Path(line).expanduser(), str(path))
            for line in named
        ]
    if path.exists():
        return [path]
    if set(_PATTERN) & set(str(path)):
        matching = sorted(glob(str(path), recursive=True))
        if not matching:
            raise UserError(f"{path}: matches no file or folder; check data.path")
        return [Path(one) for one in matching]
    return [_existing(path, "data.path")]


def _existing(path: Path, where: str) -> Path:
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; check {where}")
    return path


def check_shard(shard: str | None) -> None:
    """Raise ValueError for what is no number of a part and count of parts."""
    if shard is None:
        return
    match = _SHARD.fullmatch(shard)
    if match is None or int(match[1]) >= int(match[2]):
        raise ValueError(
            f"shard is {shard}; k/n is meant, such as 3/64, with k from 0 to n - 1 (range:64 in a multirun is all of "
            "them)"
        )


def of_shard(items: Sequence[Item], shard: str | None) -> list[Item]:
    """Every n-th item from number k on, for the shard ``k/n``; all where there is none. Raises NothingToDo where none
    is left."""
    if shard is None:
        return list(items)
    number, count = map(int, shard.split("/"))
    chosen = list(items[number::count])
    if not chosen:
        raise NothingToDo(
            f"data.shard={shard}: there are {len(items)} scenes, so this part is empty; use at most {len(items)} parts"
        )
    return chosen
