"""Dense tracks for ordered pairs of frames, one file a pair."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from dynprep.stages.base import Stage
from dynprep.stages.inputs import Frames, Inputs
from dynprep.stages.masks import read_mask
from dynprep.store import ItemWriter, Result
from dynprep.vision.sampling import pixel_grid

Sample = TypeVar("Sample")
Array = NDArray[np.float32]
Format = Literal["npy", "pth"]

X, Y, OCCLUSION, CONFIDENCE = range(4)  # columns of a track file
_HEADER = 128  # bytes of a .npy header
_CERTAIN = 1e-6  # how near to 0 and 1 a probability may be before its logit is taken


@dataclass(frozen=True)
class Tracks:
    """Tracks of one query frame: ``targets`` gives, for each target's number, (N, 4) float32
    x, y, occlusion, confidence; lazily, so that one pair is in memory at a time."""

    query: int
    resized: tuple[int, int]
    targets: Iterator[tuple[int, Array]]


@dataclass(frozen=True)
class Pairs:
    """Which ordered pairs are wanted: all; those at most ``window`` frames apart; those from every
    ``stride``-th frame."""

    window: int | None = None
    stride: int = 1

    @staticmethod
    def of(text: str) -> "Pairs":
        """``all``, ``window:K`` or ``stride:S``; ValueError for anything else."""
        found = re.fullmatch(r"all|(window|stride):([1-9]\d*)", text)
        if found is None:
            raise ValueError(f"pairs is {text}; all, window:K or stride:S is meant, e.g. window:8")
        if found.group(1) == "window":
            return Pairs(window=int(found.group(2)))
        return Pairs(stride=int(found.group(2) or 1))

    def queries(self, count: int) -> list[int]:
        """Numbers of the query frames of a clip of ``count`` frames."""
        return list(range(0, count, self.stride))

    def targets(self, query: int, count: int) -> range:
        """Numbers of the frames that a query frame's points are followed to, itself included."""
        if self.window is None:
            return range(count)
        return range(max(0, query - self.window), min(count, query + self.window + 1))

    def count(self, frames: int) -> int:
        """How many pairs."""
        return sum(len(self.targets(q, frames)) for q in self.queries(frames))


@dataclass
class Flow(Stage[Sample, Tracks]):
    """A backend's ``compute`` gives Tracks; the item is the query frame."""

    rate: int
    formats: list[Format] = field(kw_only=True)
    pairs: str = field(kw_only=True)
    mask_only: bool = field(kw_only=True)
    mask_margin: int = field(kw_only=True)
    dtype: Literal["float32", "float16"] = field(kw_only=True)
    scores: Literal["probability", "logit"] = field(kw_only=True)

    name = "flow"
    gives = "tracks of all pairs"
    version = 2

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise ValueError(f"rate is {self.rate}; it must be 1 pixel or more")
        if not self.formats:
            raise ValueError("formats is empty; give npy, pth or both")
        if self.mask_margin < 0:
            raise ValueError(f"mask_margin is {self.mask_margin}; it must be 0 pixels or more")
        Pairs.of(self.pairs)

    def needs(self) -> tuple[str, ...]:
        return ("images", *(("masks",) if self.mask_only else ()))

    def items(self, frames: Frames) -> list[str]:
        return [frames.stems[q] for q in Pairs.of(self.pairs).queries(len(frames))]

    def targets(self, query: int, frames: Frames) -> range:
        """Numbers of the frames that are wanted from a query frame."""
        return Pairs.of(self.pairs).targets(query, len(frames))

    def points(self, inputs: Inputs, query: int) -> Array:
        """Query points (N, 2) as (x, y), whole pixels of ``images/``, row-major; with
        ``mask_only`` those inside the object mask or within ``mask_margin`` pixels of it."""
        frames = inputs.frames
        points: Array = pixel_grid(frames.height, frames.width, self.rate).reshape(-1, 2)
        if not self.mask_only:
            return points
        mask = read_mask(inputs, frames.stems[query])
        if self.mask_margin:
            mask = binary_dilation(mask, iterations=self.mask_margin)
        x, y = points.astype(np.int64).T
        return points[mask[y, x]]

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: Tracks) -> None:
        frames = inputs.frames
        wanted = set(self.targets(output.query, frames))
        for target, found in output.targets:
            if target not in wanted:
                continue
            name = f"{item}_{frames.stems[target]}"
            same = target == output.query
            tracks = identity(self.points(inputs, output.query)) if same else found
            tracks = self._as_written(tracks)
            if "npy" in self.formats:
                writer.array(f"{name}.npy", tracks)
            if "pth" in self.formats:
                writer.data(f"{name}.pth", self._pth(tracks, output, target, frames))

    def _as_written(self, tracks: Array) -> NDArray[Any]:
        if self.scores == "logit":
            p = np.clip(tracks[:, OCCLUSION:].astype(np.float64), _CERTAIN, 1 - _CERTAIN)
            p[:, 1] = 1 - p[:, 1]  # TAPIR's last column grows with the expected error
            tracks = np.concatenate([tracks[:, :OCCLUSION], np.log(p / (1 - p))], 1)
        return np.ascontiguousarray(tracks, self.dtype)

    def _pth(self, tracks: NDArray[Any], output: Tracks, target: int, frames: Frames) -> bytes:
        import torch

        buffer = io.BytesIO()
        torch.save(
            {
                "tracks": torch.from_numpy(tracks),
                "query_t": output.query,
                "target_t": target,
                "rate": self.rate,
                "original_size": [frames.height, frames.width],
                "resized_size": list(output.resized),
            },
            buffer,
        )
        return buffer.getvalue()

    def disk_bytes(self, frames: Frames) -> int:
        points = -(-frames.height // self.rate) * -(-frames.width // self.rate)
        each = 4 * np.dtype(self.dtype).itemsize * points + _HEADER
        return Pairs.of(self.pairs).count(len(frames)) * each * len(self.formats)


def read_tracks(result: Result, query: str, target: str) -> Array:
    """Tracks (N, 4) float32 of a pair of stems: x, y, occlusion, confidence, whatever form they
    are written in. The .npy form must have been written."""
    tracks = result.array(f"{query}_{target}.npy").astype(np.float32)
    if result.recipe.options["scores"] == "logit":
        p = 1 / (1 + np.exp(-tracks[:, OCCLUSION:].astype(np.float64)))
        tracks[:, OCCLUSION] = p[:, 0]
        tracks[:, CONFIDENCE] = 1 - p[:, 1]
    return tracks


def queries_of(result: Result, frames: Frames) -> list[int]:
    """Numbers of the query frames of a result."""
    return Pairs.of(result.recipe.options["pairs"]).queries(len(frames))


def targets_of(result: Result, query: int, frames: Frames) -> range:
    """Numbers of the frames that a query frame's points were followed to."""
    return Pairs.of(result.recipe.options["pairs"]).targets(query, len(frames))


def identity(points: Array) -> Array:
    """Tracks (N, 4) of query points in their own frame: there, not hidden, certain."""
    rest = np.tile(np.array([0.0, 1.0], np.float32), (len(points), 1))
    return np.concatenate([points, rest], 1).astype(np.float32)
