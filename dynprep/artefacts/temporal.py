"""Scores of disparity maps over time: against the true path of the camera, and along tracks.

Shapes: (H, W) pixels of ``images/``, N points.
"""

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, Float64Array, FloatArray
from dynprep.artefacts.base import Artefact, SceneResults, Scores
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.depth_map import DepthMap, true_pairs
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import FARTHEST
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.tracks import PairTracks
from dynprep.evenly import evenly
from dynprep.scene.truth import Truth
from dynprep.vision.sampling import inside

_QUERIES, _TARGETS, _POINTS = 6, 8, 4000  # frames and points of them that drift is measured on
_LEAST = 1 / FARTHEST  # 1/m, above which a disparity is a measurement


def temporal_alignment(artefact: type[Artefact], scene: SceneResults, truth: Truth) -> Scores:
    """TAE, after one scale and shift in disparity for the clip, over what stands still where labels are known."""
    from dynprep.metrics.depth import Protocol
    from dynprep.metrics.temporal import TemporalAlignment, moved_depth
    from dynprep.metrics.values import values

    assert issubclass(artefact, DepthMap)
    frames, poses = scene.frames, truth.camera_to_world
    enough = poses is not None and len(poses) > max(frame.index for frame in frames.table)
    if not (enough and truth.depth_frames(frames) and scene[Intrinsics].known):
        return {}
    assert poses is not None
    static = truth.labels_frames(frames)
    protocol = Protocol("disparity", "video", "lsq")
    fit = protocol.fitted(true_pairs(scene, truth, artefact, static))
    total = TemporalAlignment()
    before: tuple[Float32Array, BoolArray, Float64Array] | None = None
    for frame in frames.table:
        depth = protocol.depth(scene[artefact].of(frame.stem).astype(np.float64), fit)
        used = _used(truth, frame.index, frames.size, static)
        now = depth.astype(np.float32), used, poses[frame.index]
        if before is not None:
            for one, other in ((before, now), (now, before)):
                motion = np.linalg.inv(other[2]) @ one[2]
                camera = scene[Intrinsics].of(frame.stem)
                moved = moved_depth(one[0], camera, motion, one[1])
                total.update(moved, other[0], other[1])
        before = now
    scores = values(total)
    return {
        f"{artefact.name}/{k}/{protocol.name}{'/static' * static}": v for k, v in scores.items()
    }


def _used(truth: Truth, index: int, size: tuple[int, int], static: bool) -> BoolArray:
    """Pixels (H, W) whose true depth is known and, with ``static``, that are on no object."""
    true = truth.depth(index)
    used = np.isfinite(true) & (true > 0)
    if used.shape != size:
        used = cv2.resize(used.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
    if static:
        label = cv2.resize(truth.label(index), size[::-1], interpolation=cv2.INTER_NEAREST)
        used &= label == 0
    return np.asarray(used)


def drift(artefact: type[Artefact], scene: SceneResults) -> Scores:
    """By which share depth wanders off, along tracks of what stands still, from where the dataset's cameras take it.

    Only where depth and cameras have one unit. Read it beside ``tracks/cycle`` and ``cameras/ate``.
    """
    from dynprep.metrics.temporal import Drift
    from dynprep.metrics.values import values

    assert issubclass(artefact, DepthMap)
    tracks, cameras, frames = scene[PairTracks], scene[Cameras].all, scene.frames
    if not (tracks.is_readable and cameras.shares_unit_with_depth) or len(frames) < 2:
        return {}
    total = Drift()
    for query in evenly(tracks.queries, _QUERIES):
        start = tracks.query_pixels(query)
        rows = np.arange(0, len(start), max(1, len(start) // _POINTS))
        near = _still_disparity(artefact, scene, query, start[rows])
        rays = _rays(start[rows], cameras.intrinsics[query])
        for target in evenly([t for t in tracks.targets(query) if t != query], _TARGETS):
            moved = tracks.between(query, target)[rows]
            far = _still_disparity(artefact, scene, target, moved[:, :2])
            seen = (near > _LEAST) & (far > _LEAST) & tracks.visible(moved)
            motion = np.linalg.inv(cameras.camera_to_world[target]) @ cameras.camera_to_world[query]
            points = rays[seen] / near[seen, None] @ motion[:3, :3].T + motion[:3, 3]
            ahead = points[:, 2] > 0
            total.update(1 / far[seen][ahead], points[ahead, 2])
    return {f"{artefact.name}/{k}": v for k, v in values(total).items()}


def _still_disparity(
    artefact: type[DepthMap], scene: SceneResults, number: int, pixels: FloatArray
) -> Float64Array:
    """Disparity (N,) in 1/m at pixels (N, 2) of a frame; 0 outside of it and on objects."""
    stem, (height, width) = scene.frames.stems[number], scene.frames.size
    x = np.clip(np.rint(pixels[:, 0]), 0, width - 1).astype(int)
    y = np.clip(np.rint(pixels[:, 1]), 0, height - 1).astype(int)
    still = inside(pixels, height, width) & ~scene[ObjectMasks].of(stem)[y, x]
    return np.where(still, scene[artefact].of(stem)[y, x], 0).astype(np.float64)


def _rays(pixels: FloatArray, intrinsics: Float64Array) -> Float64Array:
    """Directions (N, 3) with z = 1 of pixels (N, 2)."""
    flat = (pixels.astype(np.float64) - intrinsics[2:]) / intrinsics[:2]
    return np.concatenate([flat, np.ones((len(flat), 1))], 1)
