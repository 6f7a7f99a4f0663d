"""First guess of the camera's path: essential matrices between key frames, chained by depth.

Image coordinates are normalised: pixels less the principal point, divided by the focal length.

Shapes: T frames, N points of a grid; ``...`` any axes.
"""

import cv2
import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from dynprep.arrays import AnyArray, BoolArray, check_shapes
from dynprep.vision.bundle import Link

# OpenCV asks for this many correspondences at least
_FEWEST = 8


def two_view(
    points: AnyArray, link: Link, threshold: float, seed: int
) -> tuple[AnyArray, AnyArray, BoolArray] | None:
    """Return rotation (3, 3) and unit translation (3,) from source to target camera, and inliers (N,).

    points (N, 2): the grid in normalised coordinates; threshold: distance from the epipolar line, in
    normalised coordinates, up to which a point is an inlier; seed: of the sampling. The essential matrix
    is found by MAGSAC++ (Barath et al. 2020) in OpenCV. None where the points decide nothing. Raises
    ValueError for other shapes.
    """
    check_shapes(points=(points, "N 2"), seen=(link.seen, "N 2"))
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
    # of the four motions that an essential matrix allows, the one that sees most points in front
    _, rotation, translation, mask = cv2.recoverPose(essential, a, b, np.eye(3), mask=mask)
    inliers = np.zeros(len(points), bool)
    inliers[usable[mask.ravel() > 0]] = True
    return rotation, translation.ravel(), inliers


def triangulate(
    rays: AnyArray, seen: AnyArray, rotation: AnyArray, translation: AnyArray
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return the inverse depth (...) that brings rays nearest to where they are seen.

    rays (..., 3) with z = 1 in the source; seen (..., 2), normalised, in the target; rotation (3, 3) and
    translation (3,) from source to target camera. Also returns the information (...) of the inverse depth
    (the squared slope of the projection by it) and the distance (...) of ``seen`` from the epipolar line,
    in normalised coordinates. Inverse depth is in 1 / unit of the translation, and below 0 for points
    that seem to lie behind the camera. Raises ValueError for other shapes.

    With Y = R ray + z t, the point is seen at Y_xy / Y_z. Multiplied by Y_z that is linear in z:
    z (t_xy - seen t_z) = seen (R ray)_z - (R ray)_xy. These are two equations, solved by least squares.
    """
    check_shapes(rays=(rays, "... 3"), seen=(seen, "... 2"))
    check_shapes(rotation=(rotation, "3 3"), translation=(translation, "3"))
    turned = rays @ rotation.T
    slope = translation[:2] - seen * translation[2]  # along the epipolar line
    rest = seen * turned[..., 2:] - turned[..., :2]
    norm = (slope * slope).sum(-1)
    z = (slope * rest).sum(-1) / np.maximum(norm, 1e-18)
    # dividing by Y_z brings distances back to the image
    forward = np.maximum(turned[..., 2] + z * translation[2], 1e-6)
    # what is left of the two equations is across the line
    cross = slope[..., 0] * rest[..., 1] - slope[..., 1] * rest[..., 0]
    off = np.abs(cross) / np.sqrt(np.maximum(norm, 1e-18)) / forward
    return z, norm / forward**2, off


def beyond_rotation(rays: AnyArray, link: Link, sigma: float, rounds: int = 5) -> float:
    """Return the distance that a quarter of the points or more keep under the best rotation.

    That is the parallax of what is near; the camera's rotation alone shows nothing of depth. rays (N, 3)
    with z = 1 in the source; sigma: distance at which a point counts half; rounds: how often weights are
    renewed. Distances are in normalised coordinates; 0 where too few points are usable. Raises
    ValueError for other shapes.
    """
    check_shapes(rays=(rays, "N 3"), seen=(link.seen, "N 2"))
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


def key_frames(links: dict[tuple[int, int], Link], count: int, survival: float) -> list[int]:
    """Return key frames from 0 to count - 1, each as far from the one before as points survive.

    survival: least share in 0..1 of the points that a link must keep usable. Where no link forward does,
    the shortest one is taken. Long leaps have more parallax, so that their motion is better known.
    """
    keys = [0]
    while keys[-1] < count - 1:
        key = keys[-1]
        onward = sorted(t - s for s, t in links if s == key and t > key)
        good = [d for d in onward if (links[key, key + d].weight > 0).mean() >= survival]
        keys.append(key + (max(good) if good else onward[0]))
    return keys


def first_path(
    points: AnyArray,
    links: dict[tuple[int, int], Link],
    count: int,
    survival: float,
    trusted: float,
    threshold: float,
    seed: int,
) -> tuple[AnyArray, AnyArray]:
    """Return rotations (T, 3, 3) and translations (T, 3) from the world to the camera of every frame.

    points (N, 2): the grid in normalised coordinates; survival: see ``key_frames``; trusted: least share
    of usable points that must agree on one motion between two key frames, else the camera is taken to go
    on as before; threshold, seed: see ``two_view``. The world is the first camera, the first baseline the
    unit of length. Raises ValueError for other shapes.

    An essential matrix tells the direction of a translation, not its length. The lengths of two
    neighbouring leaps are compared by the key frame that they share: its points have an inverse depth by
    the leap before and one by the leap after, and the second baseline is scaled until both agree. Frames
    between two keys are interpolated.
    """
    check_shapes(points=(points, "N 2"))
    keys = key_frames(links, count, survival)
    rays = np.concatenate([points, np.ones((len(points), 1))], 1)
    rotations, translations = [np.eye(3)], [np.zeros(3)]
    # rotation vector and translation a frame
    speed: tuple[AnyArray, AnyArray] = np.zeros(3), np.zeros(3)
    last: AnyArray | None = None  # inverse depth of the points of keys[k], nan where unknown
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
                # with a baseline of 1, inverse depth is in 1 / baseline; of length s it is s times what it
                # is in the path's unit, so the ratio of the two is s
                if both.sum() >= _FEWEST:
                    translation = translation * np.median(ahead[both] / last[both])
            # depths of the next shared key frame, whose points are those of frame b's grid
            back = links[b, a]
            z = triangulate(rays, back.seen, rotation.T, -rotation.T @ translation)[0]
            last = np.where((back.weight > 0) & (z > 0), z, np.nan)
            speed = Rotation.from_matrix(rotation).as_rotvec() / (b - a), translation / (b - a)
        # world to camera b is world to camera a, then a to b
        rotations.append(rotation @ rotations[-1])
        translations.append(rotation @ translations[-1] + translation)
    at = Slerp(keys, Rotation.from_matrix(rotations)) if len(keys) > 1 else None
    if at is None:
        return np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    # centres, not translations, move evenly when the camera turns
    turned = at(np.arange(count)).as_matrix()
    centres = np.stack([-r.T @ t for r, t in zip(rotations, translations, strict=True)])
    path = np.stack([np.interp(np.arange(count), keys, centres[:, k]) for k in range(3)], 1)
    return turned, -np.einsum("trc,tc->tr", turned, path)
