"""The table of a scene's frames, and files from outside matched to it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dynprep.errors import UserError


@dataclass(frozen=True)
class Frame:
    """One frame of the dataset.

    stem: its zero-padded number, which names its files in every folder; index: its number in the source;
    time: seconds from the source's start; name: what the source calls it.
    """

    stem: str
    index: int
    time: float
    name: str


@dataclass(frozen=True)
class Frames:
    """The frames of a scene: their table, the size of ``images/`` and of the source, in pixels.

    suffix: how the files in ``images/`` end, such as ``.png``.
    """

    table: tuple[Frame, ...]
    suffix: str
    height: int
    width: int
    source_height: int
    source_width: int

    @cached_property  # asked for with every file of a long clip
    def stems(self) -> list[str]:
        """Stems of all frames, in order."""
        return [frame.stem for frame in self.table]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of ``images/``."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """Pixels of all frames together."""
        return len(self.table) * self.height * self.width

    def __len__(self) -> int:
        return len(self.table)


def match_files(
    frames: Frames, files: list[Path], what: str, option: str
) -> dict[str, Path | None]:
    """For each stem the file from outside that belongs to its frame, or None.

    Files are matched by name where any is called like a source frame, else by place: there must be as many
    as the source has frames, or as were selected. what, option: words for the message. Raises UserError
    where neither works.
    """
    by_name = {path.stem: path for path in files}
    if any(frame.name in by_name for frame in frames.table):
        return {frame.stem: by_name.get(frame.name) for frame in frames.table}
    last = max(frame.index for frame in frames.table)
    if len(files) == len(frames):
        return {frame.stem: path for frame, path in zip(frames.table, files, strict=True)}
    if len(files) > last:
        return {frame.stem: files[frame.index] for frame in frames.table}
    raise UserError(
        f"{option}: {len(files)} {what} for {len(frames)} frames, and none is named like a frame "
        f"(e.g. {frames.table[0].name}); give one for each frame"
    )
