"""Camera motion and coarse structure from dense flow: a sparse-grid, robust bundle adjustment.

Every frame carries a grid of points with one inverse depth each; every link (i, j) says where the points
of frame i are in frame j. Poses and inverse depths are refined together by Gauss-Newton, the inverse
depths eliminated by the Schur complement (as in DROID-SLAM, Teed and Deng 2021), with Cauchy weights so
that what moves on its own counts little.

With R, t the motion from camera i to camera j, a point on the ray (x, y, 1) with inverse depth z projects
to the first two coordinates of

    Y = R (x, y, 1) + z t

divided by its third: its position in camera j times z, so that points at infinity (z = 0) need no special
care. Image coordinates are normalised: pixels less the principal point, divided by the focal length.

Shapes: T frames, N points of the grid, the same in every frame.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

from dynprep.arrays import BoolArray, Float64Array, check_shapes

LEAST_INVERSE_DEPTH = 1e-4  # points at infinity keep a sign; the clip's median is 1


@dataclass(frozen=True)
class Link:
    """Where the grid points of frame ``source`` are seen in frame ``target``.

    seen (N, 2): normalised image coordinates in the target; weight (N,), 0 or above: 0 for points that
    cannot be used. Raises ValueError for other shapes.
    """

    source: int
    target: int
    seen: Float64Array
    weight: Float64Array

    def __post_init__(self) -> None:
        check_shapes(seen=(self.seen, "N 2"), weight=(self.weight, "N"))


@dataclass
class BundleState:
    """Cameras and the depths that they see; lengths are in one unknown unit.

    points (N, 2): normalised image coordinates of the grid. rotation (T, 3, 3) and translation (T, 3)
    bring world coordinates to the camera's. inverse_depth (T, N): of each frame's grid points. rays
    (N, 3): the points with a third coordinate of 1. Raises ValueError for other shapes.
    """

    points: Float64Array
    rotation: Float64Array
    translation: Float64Array
    inverse_depth: Float64Array
    rays: Float64Array = field(init=False)

    def __post_init__(self) -> None:
        check_shapes(
            points=(self.points, "N 2"),
            rotation=(self.rotation, "T 3 3"),
            translation=(self.translation, "T 3"),
            inverse_depth=(self.inverse_depth, "T N"),
        )
        self.rays = np.concatenate([self.points, np.ones((len(self.points), 1))], 1)


def relative(state: BundleState, i: int, j: int) -> tuple[Float64Array, Float64Array]:
    """Return rotation (3, 3) and translation (3,) that bring camera i's coordinates to camera j's."""
    rotation = state.rotation[j] @ state.rotation[i].T
    return rotation, state.translation[j] - rotation @ state.translation[i]


def _skew(v: Float64Array) -> Float64Array:
    """The matrices (..., 3, 3) whose product with a vector is the cross product of v (..., 3) with it."""
    zero = np.zeros_like(v[..., 0])
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)


def _linearise(
    state: BundleState, link: Link
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array, BoolArray]:
    """The projection of a link's points, and its slopes.

    Returns the residual (N, 2), the slopes of the projection by a step of the source's pose and of the
    target's (N, 2, 6), its slope by inverse depth (N, 2), and whether the point is in front (N,). A step
    of a pose is (translation d, rotation vector q), applied on the left: R <- exp(q) R, t <- exp(q) t + d.
    """
    rotation, translation = relative(state, link.source, link.target)
    z = state.inverse_depth[link.source]
    y = state.rays @ rotation.T + z[:, None] * translation  # (N, 3), times inverse depth
    ahead = y[:, 2] > 1e-3
    w = 1 / np.where(ahead, y[:, 2], 1.0)
    uv = y[:, :2] * w[:, None]
    # slope of (Y1, Y2) / Y3 by Y: rows (1, 0, -u) / Y3 and (0, 1, -v) / Y3
    project = np.zeros((len(y), 2, 3))
    project[:, 0, 0] = project[:, 1, 1] = w
    project[:, :, 2] = -uv * w[:, None]
    # a step (d, q) of the target's pose moves Y by z d + q x Y
    move = np.concatenate([z[:, None, None] * np.eye(3), -_skew(y)], 2)  # (N, 3, 6)
    by_target = project @ move
    # a step of the source's pose acts as the opposite one of the target's, brought to the target camera by
    # the adjoint of the relative motion: Ad = [[R, [t]x R], [0, R]] in the order (translation, rotation)
    adjoint = np.zeros((6, 6))
    adjoint[:3, :3] = adjoint[3:, 3:] = rotation
    adjoint[:3, 3:] = _skew(translation) @ rotation
    by_source = -by_target @ adjoint
    return link.seen - uv, by_source, by_target, project @ translation, ahead


def refine(
    state: BundleState,
    links: list[Link],
    sigma: float,
    iterations: int,
    prior: float,
    fixed: int = 1,
) -> list[Float64Array]:
    """Refine ``state`` in place; return the last robust weight (N,) of each link.

    sigma: residual, in normalised image coordinates, at which a point counts half. prior: pull of the
    inverse depths towards their clip-wide median, as 1 / variance (the median is 1), which decides them
    where nothing moves. The first ``fixed`` poses stay; with more than one of them the unit of length stays too,
    else the clip's median inverse depth becomes 1. Raises ValueError for links with another number
    of points than the scene.

    The normal equations of a Gauss-Newton step, with a for the step of the poses and b for that of the
    inverse depths, are

        [ B   E ] [a]   [f]
        [ E'  C ] [b] = [g]

    where C is diagonal, since no residual depends on two inverse depths. So b = C^-1 (g - E' a) is put
    into the first row, which leaves the Schur complement (B - E C^-1 E') a = f - E C^-1 g: six unknowns a
    frame in place of six and N.
    """
    for link in links:
        check_shapes(points=(state.points, "N 2"), seen=(link.seen, "N 2"))
    count, grid = len(state.rotation), len(state.points)
    reach = max((abs(k.source - k.target) for k in links), default=0)
    # eliminating a frame's depths joins all the frames that it links to, up to twice the reach apart
    band = 6 * (2 * reach + 1)
    damping = 1e-4  # Levenberg's and Marquardt's, relative to the diagonal
    weights: list[Float64Array] = [k.weight for k in links]
    for _ in range(iterations):
        matrix = np.zeros((count, 2 * reach + 1, 6, 6))  # B: block (i, i + d), d >= 0
        vector = np.zeros((count, 6))  # f
        # C and g begin with the prior; residuals are not divided by sigma, so it is multiplied by sigma²
        depth_h = np.full((count, grid), prior * sigma**2)
        middle = np.median(state.inverse_depth)
        depth_g = depth_h * (middle - state.inverse_depth)
        # E, only where a frame's inverse depths meet a pose
        cross: list[dict[int, Float64Array]] = [{} for _ in range(count)]  # frame -> {pose: (N, 6)}

        def add(i: int, j: int, block: Float64Array, matrix: Float64Array = matrix) -> None:
            if i <= j:
                matrix[i, j - i] += block
            if j < i:
                matrix[j, i - j] += block.T

        for k, link in enumerate(links):
            i, j = link.source, link.target
            r, ji, jj, jz, ahead = _linearise(state, link)
            square = (r * r).sum(-1)
            # Cauchy's weight; a point behind the camera has no projection, so no say
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
        # the Schur complement: f - E C^-1 g and B - E C^-1 E', the upper triangle of blocks alone
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
            # b = C^-1 (g - E' a)
            by_poses = sum((part @ step[p] for p, part in cross[i].items()), np.zeros(grid))
            state.inverse_depth[i] += inverse[i] * (depth_g[i] - by_poses)
        np.clip(state.inverse_depth, LEAST_INVERSE_DEPTH, None, out=state.inverse_depth)
        turn = Rotation.from_rotvec(step[:, 3:]).as_matrix()
        state.rotation = turn @ state.rotation
        state.translation = np.einsum("trc,tc->tr", turn, state.translation) + step[:, :3]
        if fixed == 1:  # the first pose decides no length
            _normalise(state)
    return weights


def _solve(
    matrix: Float64Array, vector: Float64Array, band: int, fixed: int, damping: float
) -> Float64Array:
    """Steps (T, 6) of the poses from the Schur complement, the first ``fixed`` ones 0.

    matrix (T, D, 6, 6): blocks (i, i + d); vector (T, 6). Frames far apart share no link, so that the
    system is banded: its cost grows with the number of frames, not with its cube.
    """
    count = len(vector)
    size = 6 * (count - fixed)
    upper = np.zeros((band, size))  # LAPACK's upper form: the diagonal is the last row
    for i in range(fixed, count):
        for d in range(min(matrix.shape[1], count - i)):
            block = matrix[i, d]
            for r in range(6):
                row = 6 * (i - fixed) + r
                for c in range(r if d == 0 else 0, 6):
                    column = 6 * (i - fixed + d) + c
                    if column - row < band:
                        upper[band - 1 + row - column, column] = block[r, c]
    # the small constant keeps a pose without any link from making the system singular
    upper[-1] = upper[-1] * (1 + damping) + 1e-9 * (1 + upper[-1].max(initial=0.0))
    step = np.zeros((count, 6))
    if size:
        step[fixed:] = solveh_banded(upper, vector[fixed:].ravel()).reshape(-1, 6)
    return step


def _normalise(state: BundleState) -> None:
    """Bring the clip's median inverse depth to 1; images do not decide the scale of a scene."""
    middle = np.median(state.inverse_depth)
    state.inverse_depth /= middle
    state.translation *= middle
