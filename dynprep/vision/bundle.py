"""Camera motion and coarse structure from dense flow: a sparse-grid, robust bundle adjustment.

Every frame carries a grid of points with one inverse depth each; every link (i, j) says where the
points of frame i are in frame j. Poses and inverse depths are refined together by Gauss-Newton,
the inverse depths eliminated by the Schur complement (as in DROID-SLAM, Teed & Deng, 2021), with
Cauchy weights so that what moves on its own counts little.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]

LEAST_INVERSE_DEPTH = 1e-4  # points at infinity keep a sign; the clip's median is 1


@dataclass(frozen=True)
class Link:
    """Where the grid points of frame ``source`` are in frame ``target``.

    ``seen`` (N, 2): normalised image coordinates there; ``weight`` (N,): 0 for unusable points.
    """

    source: int
    target: int
    seen: Array
    weight: Array


@dataclass
class Scene:
    """Poses world to camera, ``rotation`` (T, 3, 3) and ``translation`` (T, 3), and the inverse
    depths (T, N) of the grid points whose normalised coordinates are ``points`` (N, 2)."""

    points: Array
    rotation: Array
    translation: Array
    inverse_depth: Array
    rays: Array = field(init=False)

    def __post_init__(self) -> None:
        self.rays = np.concatenate([self.points, np.ones((len(self.points), 1))], 1)


def relative(scene: Scene, i: int, j: int) -> tuple[Array, Array]:
    """Rotation (3, 3) and translation (3,) that bring camera i's coordinates to camera j's."""
    rotation = scene.rotation[j] @ scene.rotation[i].T
    return rotation, scene.translation[j] - rotation @ scene.translation[i]


def _skew(v: Array) -> Array:
    zero = np.zeros_like(v[..., 0])
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)


def _linearise(scene: Scene, link: Link) -> tuple[Array, Array, Array, Array, NDArray[np.bool_]]:
    """Residual (N, 2), its slopes by the poses (N, 2, 6) twice and by inverse depth (N, 2)."""
    rotation, translation = relative(scene, link.source, link.target)
    z = scene.inverse_depth[link.source]
    y = scene.rays @ rotation.T + z[:, None] * translation  # (N, 3), times inverse depth
    ahead = y[:, 2] > 1e-3
    w = 1 / np.where(ahead, y[:, 2], 1.0)
    uv = y[:, :2] * w[:, None]
    project = np.zeros((len(y), 2, 3))
    project[:, 0, 0] = project[:, 1, 1] = w
    project[:, :, 2] = -uv * w[:, None]
    move = np.concatenate([z[:, None, None] * np.eye(3), -_skew(y)], 2)  # (N, 3, 6)
    by_target = project @ move
    adjoint = np.zeros((6, 6))
    adjoint[:3, :3] = adjoint[3:, 3:] = rotation
    adjoint[:3, 3:] = _skew(translation) @ rotation
    by_source = -by_target @ adjoint
    return link.seen - uv, by_source, by_target, project @ translation, ahead


def refine(
    scene: Scene,
    links: list[Link],
    sigma: float,
    iterations: int,
    prior: float,
    fixed: int = 1,
) -> list[Array]:
    """Refine ``scene`` in place; return the last robust weight (N,) of each link.

    ``sigma``: residual (normalised units) at which a point counts half. ``prior``: pull of the
    inverse depths towards their clip-wide median, as 1 / variance (the median is 1), which
    decides them where nothing moves. The first ``fixed`` poses stay.
    """
    count, grid = len(scene.rotation), len(scene.points)
    reach = max((abs(k.source - k.target) for k in links), default=0)
    band = 6 * (2 * reach + 1)  # a frame's depths join all the frames that it links to
    damping = 1e-4
    weights: list[Array] = [k.weight for k in links]
    for _ in range(iterations):
        matrix = np.zeros((count, 2 * reach + 1, 6, 6))  # block (i, i + d), d >= 0
        vector = np.zeros((count, 6))
        depth_h = np.full((count, grid), prior * sigma**2)
        middle = np.median(scene.inverse_depth)
        depth_g = depth_h * (middle - scene.inverse_depth)
        cross: list[dict[int, Array]] = [{} for _ in range(count)]  # frame -> {pose: (N, 6)}

        def add(i: int, j: int, block: Array, matrix: Array = matrix) -> None:
            if i <= j:
                matrix[i, j - i] += block
            if j < i:
                matrix[j, i - j] += block.T

        for k, link in enumerate(links):
            i, j = link.source, link.target
            r, ji, jj, jz, ahead = _linearise(scene, link)
            square = (r * r).sum(-1)
            w = link.weight * ahead / (1 + square / sigma**2)
            weights[k] = w
            wji, wjj = ji * w[:, None, None], jj * w[:, None, None]
            add(i, i, np.einsum("nkr,nkc->rc", wji, ji))
            add(j, j, np.einsum("nkr,nkc->rc", wjj, jj))
            add(i, j, np.einsum("nkr,nkc->rc", wji, jj))
            vector[i] += np.einsum("nkr,nk->r", wji, r)
            vector[j] += np.einsum("nkr,nk->r", wjj, r)
            depth_h[i] += w * (jz * jz).sum(-1)
            depth_g[i] += w * (jz * r).sum(-1)
            for pose, slope in ((i, wji), (j, wjj)):
                part = np.einsum("nkr,nk->nr", slope, jz)
                cross[i][pose] = cross[i].get(pose, 0) + part
        inverse = 1 / (depth_h * (1 + damping) + 1e-12)
        for i in range(count):
            poses = sorted(cross[i])
            for a, p in enumerate(poses):
                scaled = cross[i][p] * inverse[i][:, None]
                vector[p] -= scaled.T @ depth_g[i]
                for q in poses[a:]:
                    matrix[p, q - p] -= scaled.T @ cross[i][q]
        step = _solve(matrix, vector, band, fixed, damping)
        for i in range(count):
            back = sum((part @ step[p] for p, part in cross[i].items()), np.zeros(grid))
            scene.inverse_depth[i] += inverse[i] * (depth_g[i] - back)
        np.clip(scene.inverse_depth, LEAST_INVERSE_DEPTH, None, out=scene.inverse_depth)
        turn = Rotation.from_rotvec(step[:, 3:]).as_matrix()
        scene.rotation = turn @ scene.rotation
        scene.translation = np.einsum("trc,tc->tr", turn, scene.translation) + step[:, :3]
        _normalise(scene)
    return weights


def _solve(matrix: Array, vector: Array, band: int, fixed: int, damping: float) -> Array:
    """Steps (T, 6) of the banded normal equations with the first ``fixed`` poses held."""
    count = len(vector)
    size = 6 * (count - fixed)
    upper = np.zeros((band, size))
    for i in range(fixed, count):
        for d in range(min(matrix.shape[1], count - i)):
            block = matrix[i, d]
            for r in range(6):
                row = 6 * (i - fixed) + r
                for c in range(r if d == 0 else 0, 6):
                    column = 6 * (i - fixed + d) + c
                    if column - row < band:
                        upper[band - 1 + row - column, column] = block[r, c]
    upper[-1] = upper[-1] * (1 + damping) + 1e-9 * (1 + upper[-1].max(initial=0.0))
    step = np.zeros((count, 6))
    if size:
        step[fixed:] = solveh_banded(upper, vector[fixed:].ravel()).reshape(-1, 6)
    return step


def _normalise(scene: Scene) -> None:
    """Scale is free: keep the median inverse depth of the clip at 1."""
    middle = np.median(scene.inverse_depth)
    scene.inverse_depth /= middle
    scene.translation *= middle
