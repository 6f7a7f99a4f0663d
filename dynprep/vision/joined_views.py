"""Depth and cameras of overlapping windows of a clip, each in a world and a unit of its own, brought to one.

Shapes: V frames of a window, (h, w) pixels of a map.
"""

from dataclasses import dataclass

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, Float64Array


@dataclass(frozen=True)
class Views:
    """Neighbouring frames.

    depth (V, h, w): along the optical axis; confidence (V, h, w): where high is good; camera_to_world (V, 4, 4); focal
    (V, 2): lengths along x and y in pixels of the map; sky (V, h, w): where there is sky, None where that is unknown.
    """

    depth: Float32Array
    confidence: Float32Array
    camera_to_world: Float64Array
    focal: Float64Array
    sky: BoolArray | None = None


@dataclass(frozen=True)
class View:
    """The same of one frame, in the world of the clip: depth and sky (h, w), pose (4, 4), focal lengths (2,)."""

    depth: Float32Array
    camera_to_world: Float64Array
    focal: Float64Array
    sky: BoolArray | None = None


@dataclass(frozen=True)
class Similarity:
    """A point x of one world is at ``scale`` · rotation (3, 3) · x + shift (3,) in the other."""

    scale: float
    rotation: Float64Array
    shift: Float64Array

    def pose(self, camera_to_world: Float64Array) -> Float64Array:
        """A pose (4, 4) of one world in the other, where lengths of the camera's own space are scaled too."""
        moved = np.eye(4)
        moved[:3, :3] = self.rotation @ camera_to_world[:3, :3]
        moved[:3, 3] = self.scale * self.rotation @ camera_to_world[:3, 3] + self.shift
        return moved


class ViewJoiner:
    """Joins window after window: each is brought to the one before by the frames that they share, and blended into it.

    scale: how many units of the first window one of the last window's is.
    """

    def __init__(self) -> None:
        self.scale = 1.0
        self._shared: list[View] = []

    def add(self, views: Views, shared: int) -> list[View]:
        """Take a window whose first frames the last one had too; return the frames that no later window changes.

        shared: how many frames the next window will have in common with this one.
        """
        before = self._shared
        if not before:
            first = np.linalg.inv(views.camera_to_world[0])
            to_world = Similarity(1.0, first[:3, :3], first[:3, 3])
        else:
            to_world = similarity(before, views)
        self.scale = to_world.scale
        brought = [
            View(
                views.depth[k] * np.float32(to_world.scale),
                to_world.pose(views.camera_to_world[k]),
                views.focal[k],
                None if views.sky is None else views.sky[k],
            )
            for k in range(len(views.depth))
        ]
        for k, old in enumerate(before):
            brought[k] = blended(old, brought[k], (k + 1) / (len(before) + 1))
        final = len(brought) - shared
        self._shared = brought[final:]
        return brought[:final]


def similarity(before: list[View], views: Views) -> Similarity:
    """What brings a window to the frames that it begins with, as the window before left them.

    The scale is the median ratio of depths at the more certain half of the pixels, the rotation the mean of the turns
    between the cameras, the shift the mean of what is left.
    """
    ratios, turns = [], np.zeros((3, 3))
    for k, old in enumerate(before):
        certain = views.confidence[k] >= np.median(views.confidence[k])
        if views.sky is not None and not views.sky[k].all():
            certain &= ~views.sky[k]
        if not certain.any():
            certain[:] = True
        ratios.append(float(np.median(old.depth[certain] / views.depth[k][certain])))
        turns += old.camera_to_world[:3, :3] @ views.camera_to_world[k, :3, :3].T
    scale, rotation = float(np.median(ratios)), nearest_rotation(turns)
    shifts = [
        old.camera_to_world[:3, 3] - scale * rotation @ views.camera_to_world[k, :3, 3]
        for k, old in enumerate(before)
    ]
    return Similarity(scale, rotation, np.mean(shifts, 0))


def blended(old: View, new: View, share: float) -> View:
    """Between two views of one frame; share: 0 for the old one, 1 for the new one."""

    def between(a: Float64Array, b: Float64Array) -> Float64Array:
        mixed: Float64Array = (1 - share) * a + share * b
        return mixed

    pose = between(old.camera_to_world, new.camera_to_world)
    pose[:3, :3] = nearest_rotation(pose[:3, :3])
    depth = old.depth * np.float32(1 - share) + new.depth * np.float32(share)
    return View(depth, pose, between(old.focal, new.focal), new.sky)


def nearest_rotation(matrix: Float64Array) -> Float64Array:
    """The rotation (3, 3) nearest to a matrix (3, 3), in the least-squares sense (Arun et al. 1987)."""
    u, _, v = np.linalg.svd(matrix)
    flip = np.diag([1, 1, np.linalg.det(u @ v)])
    rotation: Float64Array = u @ flip @ v
    return rotation
