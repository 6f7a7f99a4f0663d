"""Tracks lifted by the aligned disparity: trajectories in 3D, of the object and of the background.

Shapes: N points, T frames, (N, T, 4) columns x, y, occlusion, confidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, IntArray, UInt8Array
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import depth_of
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.points import KINDS, PointTrajectories, Trajectories
from dynprep.artefacts.tracks import CONFIDENCE, OCCLUSION, PairTracks
from dynprep.errors import UserError
from dynprep.evenly import evenly
from dynprep.options import AtLeastOne, NotNegative, Seed, Share
from dynprep.scene.frames import Frames
from dynprep.stages.base import SceneStage
from dynprep.stages.sky import sky_of
from dynprep.store import ItemWriter
from dynprep.vision.sampling import inside

_NEAR, _FAR = 0.5, 2.0  # what trainers scale the depths of all frames to


@dataclass(frozen=True)
class _ChosenTracks:
    """Tracks (N, T, 4), whether they start on the object (N,), colours (N, 3), query frames (N,)."""

    tracks: Float32Array
    on_object: BoolArray
    colours: UInt8Array
    query: IntArray


@dataclass
class LiftedPoints(SceneStage):
    """Lifts tracks of object and background to 3D by aligned disparity and intrinsics: what trainers start from."""

    count: AtLeastOne
    queries: AtLeastOne
    least_frames: AtLeastOne
    least_confidence: Share
    mask_erosion: NotNegative
    space: Literal["camera", "orthographic"]
    seed: Seed

    makes = PointTrajectories
    kind_version = 1
    backend_id = "lifted"

    def reads(self) -> tuple[type[Artefact], ...]:
        read = (Images, ObjectMasks, MetricDisparity, AlignedDisparity, PairTracks)
        return (*read, *(kind for kind in self.context.skies if kind not in read))

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        frames, tracks_of = scene.frames, scene[PairTracks]
        if not tracks_of.is_readable:
            raise UserError("points reads tracks as .npy: add npy to flow.formats, or points=none")
        queries = evenly(tracks_of.queries, self.queries)
        chosen = [self._choose(scene, query, len(queries)) for query in queries]
        tracks = np.concatenate([c.tracks for c in chosen])
        on_object = np.concatenate([c.on_object for c in chosen])
        query = np.concatenate([c.query for c in chosen])
        colours = np.concatenate([c.colours for c in chosen])
        depth, seen = _depths(scene, tracks, self.least_confidence, self.context.skies)
        keep = seen.sum(1) >= min(self.least_frames, len(frames))
        pixels = np.concatenate([tracks[..., :2], depth[..., None]], -1)[keep]
        positions = self._placed(scene, pixels)
        visibility = np.where(seen, 1 - tracks[..., OCCLUSION], 0)[keep]
        confidence = tracks[keep][..., CONFIDENCE]
        points = {
            kind: Trajectories(
                positions[rows],
                visibility[rows].astype(np.float32),
                confidence[rows],
                colours[keep][rows],
                query[keep][rows],
            )
            for kind, rows in zip(KINDS, (on_object[keep], ~on_object[keep]), strict=True)
        }
        PointTrajectories.write(writer, frames, points, scene[MetricDisparity].clip_intrinsics)

    def _choose(self, scene: Scene, query: int, shares: int) -> _ChosenTracks:
        """A random part of a query frame's points, of each kind its share of ``count``."""
        frames, tracks_of = scene.frames, scene[PairTracks]
        stem = frames.stems[query]
        start = np.rint(tracks_of.query_pixels(query)).astype(int)
        mask = scene[ObjectMasks].of(stem)
        kernel = np.ones((2 * self.mask_erosion + 1,) * 2, np.uint8)
        random = np.random.default_rng((self.seed, query))
        rows_of_kinds = []
        for area in (mask, ~mask):
            surely = cv2.erode(area.astype(np.uint8), kernel) > 0
            rows = np.flatnonzero(surely[start[:, 1], start[:, 0]])
            wanted = min(len(rows), -(-self.count // shares))
            rows_of_kinds.append(np.sort(random.choice(rows, wanted, replace=False)))
        rows = np.concatenate(rows_of_kinds)
        tracks = np.zeros((len(rows), len(frames), 4), np.float32)
        tracks[..., OCCLUSION] = 1  # in frames that this query was not followed to nothing is seen
        for target in tracks_of.targets(query):
            tracks[:, target] = tracks_of.between(query, target)[rows]
        return _ChosenTracks(
            tracks,
            np.arange(len(rows)) < len(rows_of_kinds[0]),
            scene[Images].rgb(stem)[start[rows, 1], start[rows, 0]],
            np.full(len(rows), query, np.int32),
        )

    def _placed(self, scene: Scene, pixels: Float32Array) -> Float32Array:
        """x, y in pixels and depth in metres (N, T, 3) -> positions (N, T, 3) in ``space``."""
        x, y, z = (pixels[..., k].astype(np.float64) for k in range(3))
        if self.space == "camera":
            fx, fy, cx, cy = scene[MetricDisparity].clip_intrinsics
            placed = [(x - cx) / fx * z, (y - cy) / fy * z, z]
        else:
            low, high = (float(z.min()), float(z.max())) if z.size else (0.0, 1.0)
            unit = (z - low) / max(high - low, 1e-12)
            across = 2 * (x + 0.5) / scene.frames.width - 1
            down = 2 * (y + 0.5) / scene.frames.height - 1
            placed = [across, down, _NEAR + (_FAR - _NEAR) * unit]
        return np.stack(placed, -1).astype(np.float32)

    def disk_bytes(self, frames: Frames) -> int:
        return 2 * self.count * (len(frames) * 20 + 7) + 4096


def _depths(
    scene: Scene,
    tracks: Float32Array,
    least_confidence: float,
    skies: Sequence[type[Artefact]],
) -> tuple[Float32Array, BoolArray]:
    """Depth (N, T) in metres along tracks (N, T, 4), and where it was seen (N, T).

    Between frames in which a point is seen its disparity is interpolated over time, before and after them it
    stays.
    """
    stems = scene.frames.stems
    height, width = scene.frames.size
    values = np.zeros(tracks.shape[:2], np.float32)
    seen = np.zeros(tracks.shape[:2], bool)
    for frame, stem in enumerate(stems):
        disparity = scene[AlignedDisparity].of(stem)
        xy = tracks[:, frame, :2]
        x = np.clip(np.rint(xy[:, 0]), 0, width - 1).astype(int)
        y = np.clip(np.rint(xy[:, 1]), 0, height - 1).astype(int)
        values[:, frame] = disparity[y, x]
        sky = sky_of(skies, scene, stem)
        if sky is not None:  # which has a disparity for trainers' sake alone
            values[sky[y, x], frame] = 0
        sure = tracks[:, frame, CONFIDENCE] >= least_confidence
        visible = inside(xy, height, width) & PairTracks.visible(tracks[:, frame])
        seen[:, frame] = visible & sure & (values[:, frame] > 0)
    times = np.arange(len(stems))
    for row in np.flatnonzero(seen.any(1) & ~seen.all(1)):
        known = seen[row]
        values[row] = np.interp(times, times[known], values[row, known])
    return depth_of(values), seen
