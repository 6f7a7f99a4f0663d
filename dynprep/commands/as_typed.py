"""A command line as people type it, brought to what Hydra's grammar takes: paths, lists of stages, a clip by itself."""

import re
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path

from dynprep.config.compose import quoted
from dynprep.errors import UserError
from dynprep.remote.address import is_remote

_PATHS = re.compile(
    r"(data\.(path|truth|sensor)|dataset_dir|store_dir|camera\.file|\w+\.(path|prompts|checkpoint))"
)
_RANGE = re.compile(r"range:(\d+)")  # all shards of that many
# flags of Hydra that are followed by a value
WITH_VALUE = (
    *("-cd", "-cn", "-cp", "-c", "-p", "-i", "--config-dir", "--config-name", "--config-path"),
    *("--cfg", "--package", "--info"),
)
_IMAGES, _MASKS = "images", "masks"  # folders of a scene
_HYDRAS_OWN = "'\"[{$\\"  # what begins a value that is in Hydra's grammar already


def as_typed(arguments: Sequence[str], is_multirun: bool) -> list[str]:
    """The arguments of a run with what people type replaced by what it means.

    ``dog.mp4`` by itself becomes ``data=video data.path=dog.mp4``, and a folder ``data=frames`` with its path; a folder
    that holds images/ and masks/ is one scene with its masks. Paths that exist are quoted, ``~`` and ``*`` in them
    resolved. ``stages=masks,depth`` becomes a list, and ``data.shard=range:4`` of a multirun its four parts.
    """
    words: list[str] = []
    before = ""
    for argument in arguments:
        words += [argument] if before in WITH_VALUE else _word(argument, is_multirun)
        before = argument
    return words


def _word(argument: str, is_multirun: bool) -> Iterator[str]:
    name, is_override, value = argument.partition("=")
    if is_remote(argument) and not is_override:
        yield from ("data=video", f"data.path={_path(argument)}")
    elif not is_override and not argument.startswith("-") and Path(argument).expanduser().exists():
        yield from _clip(Path(argument).expanduser())
    elif name == "stages" and "," in value and value[:1] != "[" and not is_multirun:
        yield f"stages=[{value}]"
    elif name == "data.shard" and (match := _RANGE.fullmatch(value)) is not None:
        yield f"{name}={_shards(int(match[1]), argument, is_multirun)}"
    elif _PATHS.fullmatch(name.lstrip("+")):
        yield f"{name}={_path(value)}"
    else:
        yield argument


def _shards(count: int, argument: str, is_multirun: bool) -> str:
    """All parts of that many, as a multirun takes them."""
    if not is_multirun or not count:
        raise UserError(f"{argument}: is for a multirun of one part or more: dynprep -m {argument}")
    return ",".join(f"{number}/{count}" for number in range(count))


def _clip(path: Path) -> Iterator[str]:
    """The overrides that take one video, or one folder of frames."""
    if not path.is_dir():
        yield from ("data=video", f"data.path={quoted(path)}")
        return
    is_scene = (path / _IMAGES).is_dir()
    yield "data=frames"
    yield f"data.path={quoted(path / _IMAGES if is_scene else path)}"
    if is_scene:
        yield f"data.name={quoted(Path(path.absolute().name))}"
        if (path / _MASKS).is_dir():
            yield from ("masks=folder", f"masks.path={quoted(path / _MASKS)}")


def _path(value: str) -> str:
    """A path as Hydra takes it; several where a pattern matches several."""
    if not value or value[0] in _HYDRAS_OWN:
        return value
    if is_remote(value):
        return f"'{value}'" if "'" not in value and "," not in value else value
    path = Path(value).expanduser()
    if path.exists():
        return quoted(path)
    matches = sorted(glob(str(path))) if "*" in value or "?" in value else []
    if len(matches) == 1:
        return quoted(Path(matches[0]))
    if matches:
        return f"[{','.join(quoted(Path(each)) for each in matches)}]"
    return quoted(path) if value[0] == "~" else value


def refuse_several_choices(arguments: Sequence[str], folders: Sequence[Path]) -> None:
    """Raise UserError for a group that is given several choices where one job is meant.

    folders: of configuration files, where groups are folders.
    """
    for argument in arguments:
        group, _, value = argument.partition("=")
        is_group = any(group and (folder / group).is_dir() for folder in folders)
        if is_group and "," in value and value[:1] not in _HYDRAS_OWN:
            raise UserError(
                f"{argument}: these are several jobs; add -m to run one for each, or name one choice"
            )
