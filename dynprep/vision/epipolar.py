"""First guess of the camera's path: essential matrices between key frames, chained by depth."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from dynprep.vision.bundle import Link

Array = NDArray[Any]

# OpenCV asks for this many correspondences at least
_FEWEST = 8


def two_view(
    points: Array, link: Link, threshold: float, seed: int
) -> tuple[Array, Array, NDArray[np.bool_]] | None:
    """Rotation (3, 3), unit translation (3,) from source to target camera, and inliers (N,).

    The essential matrix of normalised coordinates by RANSAC (MAGSAC++); ``threshold`` in
    normalised units. None where the points decide nothing.
    """
    usable = np.flatnonzero(link.weight > 0)
    if len(usable) < _FEWEST:
        return None
    a, b = points[usable], link.seen[usable]
    cv2.setRNGSeed(seed)
    essential, mask = cv2.findEssentialMat(
        a, b, np.eye(3), method=cv2.USAC_MAGSAC, prob=0.9999, threshold=threshold
    )
    if essential is None or essential.shape != (3, 3):
        return None
    _, rotation, translation, mask = cv2.recoverPose(essential, a, b, np.eye(3), mask=mask)
    inliers = np.zeros(len(points), bool)
    inliers[usable[mask.ravel() > 0]] = True
    return rotation, translation.ravel(), inliers


def triangulate(
    rays: Array, seen: Array, rotation: Array, translation: Array
) -> tuple[Array, Array, Array]:
    """Inverse depth by least squares along the epipolar line.

    rays (..., 3) with z = 1 in the source; seen (..., 2) normalised in the target. Returns the
    inverse depth (...), its information (squared slope of the projection by inverse depth) and
    the remaining distance (...) from the epipolar line, in normalised units.
    """
    turned = rays @ rotation.T
    slope = translation[:2] - seen * translation[2]  # of (Y_xy - seen · Y_z) by inverse depth
    rest = seen * turned[..., 2:] - turned[..., :2]
    norm = (slope * slope).sum(-1)
    z = (slope * rest).sum(-1) / np.maximum(norm, 1e-18)
    forward = np.maximum(turned[..., 2] + z * translation[2], 1e-6)
    cross = slope[..., 0] * rest[..., 1] - slope[..., 1] * rest[..., 0]
    off = np.abs(cross) / np.sqrt(np.maximum(norm, 1e-18)) / forward
    return z, norm / forward**2, off


def beyond_rotation(rays: Array, link: Link, sigma: float, rounds: int = 5) -> float:
    """Distance (normalised units) that the best rotation alone leaves to a quarter of the points
    or more: the parallax of what is near.

    rays (N, 3) with z = 1 in the source. ``sigma``: distance at which a point counts half. 0
    where too few points are usable.
    """
    usable = link.weight > 0
    if usable.sum() < _FEWEST:
        return 0.0
    a, seen = rays[usable], link.seen[usable]
    b = np.concatenate([seen, np.ones((len(seen), 1))], 1)
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    weight = link.weight[usable]
    off = np.zeros(len(a))
    for _ in range(rounds):
        turn, _ = Rotation.align_vectors(b, a, weights=weight / (1 + (off / sigma) ** 2))
        turned = turn.apply(a)
        off = np.linalg.norm(turned[:, :2] / turned[:, 2:] - seen, axis=1)
    return float(np.quantile(off, 0.75))


def key_frames(links: dict[tuple[int, int], Link], count: int, kept: float) -> list[int]:
    """Frames 0 … count-1 in leaps as long as a share ``kept`` of the points survives."""
    keys = [0]
    while keys[-1] < count - 1:
        here = keys[-1]
        onward = sorted(t - s for s, t in links if s == here and t > here)
        good = [d for d in onward if (links[here, here + d].weight > 0).mean() >= kept]
        keys.append(here + (max(good) if good else onward[0]))
    return keys


def first_path(
    points: Array,
    links: dict[tuple[int, int], Link],
    count: int,
    kept: float,
    trusted: float,
    threshold: float,
    seed: int,
) -> tuple[Array, Array]:
    """World-to-camera rotations (T, 3, 3) and translations (T, 3).

    A leap of which a share below ``trusted`` agrees on one motion goes on like the one before.
    Every second view's baseline is scaled so that the depths of the shared key frame agree;
    frames between two keys are interpolated.
    """
    keys = key_frames(links, count, kept)
    rays = np.concatenate([points, np.ones((len(points), 1))], 1)
    rotations, translations = [np.eye(3)], [np.zeros(3)]
    speed: tuple[Array, Array] = np.zeros(3), np.zeros(3)  # rotation vector and translation a frame
    last: Array | None = None  # inverse depth of the points of keys[k], nan where unknown
    for a, b in zip(keys, keys[1:], strict=False):
        view = two_view(points, links[a, b], threshold, seed)
        usable = (links[a, b].weight > 0).sum()
        if view is None or view[2].sum() < trusted * usable:
            # too little agrees (a short last leap, say): go on as before
            rotation = Rotation.from_rotvec(speed[0] * (b - a)).as_matrix()
            translation, last = speed[1] * (b - a), None
        else:
            rotation, translation, good = view
            ahead = triangulate(rays, links[a, b].seen, rotation, translation)[0]
            if last is not None:
                both = good & (last > 0) & (ahead > 0)
                # a point's inverse depth is per baseline: twice the baseline, half the value
                if both.sum() >= _FEWEST:
                    translation = translation * np.median(ahead[both] / last[both])
            back = links[b, a]
            z = triangulate(rays, back.seen, rotation.T, -rotation.T @ translation)[0]
            last = np.where((back.weight > 0) & (z > 0), z, np.nan)
            speed = Rotation.from_matrix(rotation).as_rotvec() / (b - a), translation / (b - a)
        rotations.append(rotation @ rotations[-1])
        translations.append(rotation @ translations[-1] + translation)
    at = Slerp(keys, Rotation.from_matrix(rotations)) if len(keys) > 1 else None
    if at is None:
        return np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    turned = at(np.arange(count)).as_matrix()
    centres = np.stack([-r.T @ t for r, t in zip(rotations, translations, strict=True)])
    path = np.stack([np.interp(np.arange(count), keys, centres[:, k]) for k in range(3)], 1)
    return turned, -np.einsum("trc,tc->tr", turned, path)
