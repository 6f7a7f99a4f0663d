"""What a stage reads: the frames of a scene and the results made before."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynprep.errors import UserError
from dynprep.scene.source import Source
from dynprep.store import Result

FRAMES = "frames.json"  # the table beside the frames in the result of the stage ``images``


@dataclass(frozen=True)
class Frame:
    """One frame of the dataset: its stem, and where it stood in its source."""

    stem: str
    index: int
    time: float
    name: str


@dataclass(frozen=True)
class Frames:
    """The frames of a scene: their table, the size of ``images/`` and of the source, in pixels."""

    table: tuple[Frame, ...]
    suffix: str
    height: int
    width: int
    source_height: int
    source_width: int

    @property
    def stems(self) -> list[str]:
        return [frame.stem for frame in self.table]

    def __len__(self) -> int:
        return len(self.table)

    @staticmethod
    def of(images: Result) -> "Frames":
        """Read the table from the result of the stage ``images``."""
        raw = images.json(FRAMES)
        return Frames(**{**raw, "table": tuple(Frame(**entry) for entry in raw["table"])})


@dataclass(frozen=True)
class SceneResults:
    """The frames and results of one scene, wherever they were made."""

    scene: str
    frames: Frames
    results: Mapping[str, Result]

    def __getitem__(self, stage: str) -> Result:
        return self.results[stage]

    def number(self, stem: str) -> int:
        """Position of a stem: stems are zero-padded numbers."""
        return int(stem)

    def rgb(self, stem: str) -> NDArray[np.uint8]:
        """The frame, RGB uint8 (H, W, 3)."""
        return self.results["images"].image(f"{stem}{self.frames.suffix}")

    def intrinsics(self, stem: str) -> NDArray[np.float64]:
        """[fx, fy, cx, cy] in pixels of ``images/``, from the stage ``intrinsics``."""
        return np.asarray(self.results["intrinsics"].json("intrinsics.json")[stem], np.float64)

    def camera_known(self) -> bool:
        """Whether the intrinsics were given by the user or the data, and are no guess."""
        return bool(self.results["intrinsics"].json("known.json"))


@dataclass(frozen=True)
class Inputs(SceneResults):
    """Everything a stage may read for one scene. Picklable."""

    source: Source


def match_files(
    frames: Frames, files: list[Path], what: str, option: str
) -> dict[str, Path | None]:
    """For each stem the outside file that belongs to its frame, or None.

    By name where any file is called like a source frame, else by place: as many files as the
    source has frames, or as were selected.
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
