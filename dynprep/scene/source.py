"""Where a scene's frames come from, whatever holds them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dynprep.arrays import UInt8Array
from dynprep.errors import UserError

OnError = Literal["fail", "skip"]


@dataclass(frozen=True)
class RawFrame:
    """One frame as its source gives it.

    image: RGB uint8 (H, W, 3), upright. index: its number in the source. time: seconds. name:
    what the source calls it. file: the file that holds exactly this picture as 8-bit RGB, if any, and its SHA-256.
    """

    index: int
    time: float
    name: str
    image: UInt8Array
    file: tuple[Path, str] | None = None


@dataclass(frozen=True)
class Probe:
    """What is known without decoding: how many frames were selected, and their size."""

    count: int
    height: int
    width: int


@dataclass(frozen=True)
class Selection:
    """Which of a source's frames are used, in this order: start/end, fps, stride, max_frames."""

    start: int
    end: int | None
    stride: int
    fps: float | None
    max_frames: int | None

    def __post_init__(self) -> None:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end is {self.end}, not after start={self.start}")

    def of(self, times: Sequence[float]) -> list[int]:
        """Indices of the frames to use, given every frame's time in seconds, ascending."""
        chosen = list(range(self.start, min(len(times), self.end or len(times))))
        if self.fps is not None and chosen:
            stamps = np.asarray(times)[chosen]
            ticks = np.arange(stamps[0], stamps[-1] + 1e-9, 1 / self.fps)
            middles = (stamps[1:] + stamps[:-1]) / 2
            nearest = np.searchsorted(middles, ticks)
            chosen = [chosen[k] for k in sorted({int(n) for n in nearest})]
        return chosen[:: self.stride][: self.max_frames]


class Source(ABC):
    """One scene's raw material."""

    name: str
    sensor: Path | None = None  # folder of depth that came with the frames
    truth: Path | None = None  # folder of what is known to be true, for scores

    def prepared(self) -> "Source":
        """The scene ready to be read. Raises UserError where a clip that lies elsewhere cannot be fetched."""
        return self

    @property
    def stored_at(self) -> Path | None:
        """Where the clip lies on this machine, if it is one file or folder."""
        return None

    @abstractmethod
    def probe(self) -> Probe:
        """Count and size, from headers alone. Raises UserError for what cannot be read."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What decides the frames: hashes of the content, and the options they are read with."""

    @abstractmethod
    def frames(self) -> Iterator[RawFrame]:
        """The selected frames in order, one at a time. Raises UserError for what cannot be read."""

    @abstractmethod
    def describe(self) -> str:
        """What a person would call it: a path."""

    def part(self, first: int, end: int, name: str) -> "Source":
        """The selected frames from the source's number ``first`` to the one before ``end``, as a scene. Raises
        UserError for a source that cannot be divided."""
        raise UserError(f"{self.describe()}: cannot be divided; leave out data.split")

    def remarks(self) -> list[str]:
        """What a user should know of how the frames are read, a line each."""
        return []

    def plain_suffix(self) -> str | None:
        """The one suffix of the source's files if each holds exactly its frame as upright 8-bit RGB, else None."""
        return None

    def intrinsics(self) -> dict[int, list[float]] | None:
        """[fx, fy, cx, cy] in source pixels by source frame index, where the source knows them."""
        return None


Part = tuple[
    int, int
]  # of the selected frames those from the first number to the one before the second


def no_frames(where: str) -> UserError:
    """The error for a selection that leaves nothing."""
    return UserError(f"{where}: no frames are left by start, end, stride and fps; widen them")
