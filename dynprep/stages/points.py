"""Tracks lifted by aligned depth: trajectories in 3D, of the object and of the background."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dynprep.errors import UserError
from dynprep.stages.base import Stage
from dynprep.stages.flow import CONFIDENCE, OCCLUSION, queries_of, read_tracks, targets_of
from dynprep.stages.inputs import Frames, Inputs
from dynprep.stages.maps import depth_of
from dynprep.stages.masks import read_mask
from dynprep.stages.metric_depth import all_intrinsics
from dynprep.store import ItemWriter
from dynprep.vision.sampling import inside

Array = NDArray[np.float32]

FILES = {"fg": "fg.npz", "bg": "bg.npz"}
_HIDDEN = 0.5  # an occlusion from which on a point counts as hidden
_NEAR, _FAR = 0.5, 2.0  # what trainers scale the depths of all frames to


@dataclass(frozen=True)
class Cloud:
    """Trajectories of N points through T frames.

    positions (N, T, 3); visibility and confidence (N, T) in 0..1; colours (N, 3) uint8 RGB;
    query (N,) the frame that each point was taken from.
    """

    positions: Array
    visibility: Array
    confidence: Array
    colours: NDArray[np.uint8]
    query: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.query)


@dataclass
class Points(Stage[Inputs, dict[str, Cloud]]):
    """Reads what trainers start from off tracks, aligned disparity, masks and intrinsics."""

    count: int
    queries: int
    least_frames: int
    least_confidence: float
    mask_erosion: int
    space: Literal["camera", "orthographic"]
    seed: int

    name = "points"
    gives = "trajectories in 3D"
    version = 1
    whole = True

    def __post_init__(self) -> None:
        for name in ("count", "queries", "least_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.least_confidence <= 1 or self.mask_erosion < 0:
            raise ValueError("least_confidence must be in 0..1, mask_erosion 0 pixels or more")

    def needs(self) -> tuple[str, ...]:
        return ("images", "masks", "metric_depth", "alignment", "flow")

    def load(self, inputs: Inputs, item: str) -> Inputs:
        return inputs

    def compute(self, samples: Sequence[Inputs]) -> list[dict[str, Cloud]]:
        return [self._of_scene(inputs) for inputs in samples]

    def _of_scene(self, inputs: Inputs) -> dict[str, Cloud]:
        frames, flow = inputs.frames, inputs["flow"]
        if "npy" not in flow.recipe.options["formats"]:
            raise UserError("points reads tracks as .npy: add npy to flow.formats, or points=none")
        queries = queries_of(flow, frames)
        at = np.unique(np.linspace(0, len(queries) - 1, self.queries).round().astype(int))
        taken = [self._take(inputs, queries[k], len(at)) for k in at]
        tracks = np.concatenate([t.tracks for t in taken])
        kinds = np.concatenate([t.foreground for t in taken])
        query = np.concatenate([t.query for t in taken])
        colours = np.concatenate([t.colours for t in taken])
        depth, seen = _depths(inputs, tracks, self.least_confidence)
        keep = seen.sum(1) >= min(self.least_frames, len(frames))
        pixels = np.concatenate([tracks[..., :2], depth[..., None]], -1)[keep]
        positions = self._placed(inputs, pixels)
        visibility = np.where(seen, 1 - tracks[..., OCCLUSION], 0)[keep]
        confidence = tracks[keep][..., CONFIDENCE]
        found = {}
        for kind, here in (("fg", kinds[keep]), ("bg", ~kinds[keep])):
            found[kind] = Cloud(
                positions[here],
                visibility[here].astype(np.float32),
                confidence[here],
                colours[keep][here],
                query[keep][here],
            )
        return found

    def _take(self, inputs: Inputs, query: int, shares: int) -> "_Taken":
        """A random part of a query frame's points, of each kind its share of ``count``."""
        frames, flow = inputs.frames, inputs["flow"]
        stem = frames.stems[query]
        start = np.rint(read_tracks(flow, stem, stem)[:, :2]).astype(int)
        mask = read_mask(inputs, stem)
        kernel = np.ones((2 * self.mask_erosion + 1,) * 2, np.uint8)
        made = np.random.default_rng((self.seed, query))
        chosen = []
        for area in (mask, ~mask):
            surely = cv2.erode(area.astype(np.uint8), kernel) > 0
            rows = np.flatnonzero(surely[start[:, 1], start[:, 0]])
            wanted = min(len(rows), -(-self.count // shares))
            chosen.append(np.sort(made.choice(rows, wanted, replace=False)))
        rows = np.concatenate(chosen)
        tracks = np.zeros((len(rows), len(frames), 4), np.float32)
        tracks[..., OCCLUSION] = 1  # frames that this query was not followed to are not seen
        for target in targets_of(flow, query, frames):
            tracks[:, target] = read_tracks(flow, stem, frames.stems[target])[rows]
        return _Taken(
            tracks,
            np.arange(len(rows)) < len(chosen[0]),
            inputs.rgb(stem)[start[rows, 1], start[rows, 0]],
            np.full(len(rows), query, np.int32),
        )

    def _placed(self, inputs: Inputs, pixels: Array) -> Array:
        """x, y in pixels and depth (N, T, 3) -> positions in ``space``."""
        x, y, z = (pixels[..., k].astype(np.float64) for k in range(3))
        if self.space == "camera":
            fx, fy, cx, cy = clip_camera(inputs)
            placed = [(x - cx) / fx * z, (y - cy) / fy * z, z]
        else:
            low, high = (float(z.min()), float(z.max())) if z.size else (0.0, 1.0)
            unit = (z - low) / max(high - low, 1e-12)
            across = 2 * (x + 0.5) / inputs.frames.width - 1
            down = 2 * (y + 0.5) / inputs.frames.height - 1
            placed = [across, down, _NEAR + (_FAR - _NEAR) * unit]
        return np.stack(placed, -1).astype(np.float32)

    def write(
        self, writer: ItemWriter, inputs: Inputs, item: str, output: dict[str, Cloud]
    ) -> None:
        intrinsics = clip_camera(inputs)
        for kind, cloud in output.items():
            writer.arrays(
                FILES[kind],
                positions=cloud.positions,
                visibility=cloud.visibility,
                confidence=cloud.confidence,
                colours=cloud.colours,
                query=cloud.query,
                intrinsics=intrinsics.astype(np.float32),
            )
            if not len(cloud):
                what = "object" if kind == "fg" else "background"
                writer.note(f"points: no {what} points were seen in enough frames")

    def disk_bytes(self, frames: Frames) -> int:
        return 2 * self.count * (len(frames) * 20 + 7) + 4096


def clip_camera(inputs: Inputs) -> NDArray[np.float64]:
    """[fx, fy, cx, cy] of the clip: the median over its frames, pixels of ``images/``."""
    rows = all_intrinsics(inputs["metric_depth"], inputs.frames).values()
    return np.median(np.asarray(list(rows), np.float64), 0)


@dataclass(frozen=True)
class _Taken:
    """Tracks (N, T, 4), whether they start on the object (N,), colours (N, 3), query frames (N,)."""

    tracks: Array
    foreground: NDArray[np.bool_]
    colours: NDArray[np.uint8]
    query: NDArray[np.int32]


def _depths(
    inputs: Inputs, tracks: Array, least_confidence: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Depth (N, T) in metres along tracks (N, T, 4), and where it was seen (N, T).

    Between frames in which a point is seen its disparity is interpolated over time, before and
    after them it stays.
    """
    stems = inputs.frames.stems
    height, width = inputs.frames.height, inputs.frames.width
    values = np.zeros(tracks.shape[:2], np.float32)
    seen = np.zeros(tracks.shape[:2], bool)
    for frame, stem in enumerate(stems):
        disparity = inputs["alignment"].array(f"{stem}.npy")
        xy = tracks[:, frame, :2]
        x = np.clip(np.rint(xy[:, 0]), 0, width - 1).astype(int)
        y = np.clip(np.rint(xy[:, 1]), 0, height - 1).astype(int)
        values[:, frame] = disparity[y, x]
        sure = tracks[:, frame, CONFIDENCE] >= least_confidence
        visible = inside(xy, height, width) & (tracks[:, frame, OCCLUSION] < _HIDDEN)
        seen[:, frame] = visible & sure & (values[:, frame] > 0)
    times = np.arange(len(stems))
    for row in np.flatnonzero(seen.any(1) & ~seen.all(1)):
        known = seen[row]
        values[row] = np.interp(times, times[known], values[row, known])
    return depth_of(values), seen
