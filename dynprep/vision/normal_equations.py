"""The normal equations of a bundle adjustment, and their solution without the inverse depths.

With a for the step of the poses and b for that of the inverse depths, they are

    [ B   E ] [a]   [f]
    [ E'  C ] [b] = [g]

where C is diagonal, since no residual depends on two inverse depths. So b = C^-1 (g - E' a) is put into the first row,
which leaves the Schur complement (B - E C^-1 E') a = f - E C^-1 g: six unknowns a frame in place of six and N.

A step of a pose is (translation d, rotation vector q), applied on the left: R <- exp(q) R, t <- exp(q) t + d.

Shapes: T frames, N points of the grid, L links, D distances between linked frames, twice the longest and 0 among them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

from dynprep.arrays import BoolArray, Float64Array, IntArray
from dynprep.vision.bundle import BundleState, Link

_LEAST_DEPTH = 1e-3  # of a projected point: what is nearer, or behind the camera, is not seen
_TOGETHER = 20_000  # points that are worked on together, which the processor's cache holds
_POSE = 6  # unknowns of a pose


@dataclass(frozen=True)
class Projection:
    """Where links' points would be seen.

    rotation (L, 3, 3) and translation (L, 3): from source to target camera; inverse_depth (L, N); y (L, N, 3): of
    ``bundle``; uv (L, N, 2): normalised image coordinates in the target; ahead (L, N): whether the point is in front.
    """

    rotation: Float64Array
    translation: Float64Array
    inverse_depth: Float64Array
    y: Float64Array
    uv: Float64Array
    ahead: BoolArray


@dataclass(frozen=True)
class StackedLinks:
    """Links in arrays: source and target (L,), seen (L, N, 2), weight (L, N)."""

    source: IntArray
    target: IntArray
    seen: Float64Array
    weight: Float64Array

    @staticmethod
    def parts(links: list[Link]) -> Iterator["StackedLinks"]:
        """The links, so many together as are quick to work on."""
        if not links:
            return
        step = max(1, _TOGETHER // max(len(links[0].weight), 1))
        for start in range(0, len(links), step):
            part = links[start : start + step]
            yield StackedLinks(
                np.array([k.source for k in part]),
                np.array([k.target for k in part]),
                np.stack([k.seen for k in part]),
                np.stack([k.weight for k in part]),
            )

    def project(self, state: BundleState) -> Projection:
        """Where the points are seen if ``state`` is right."""
        source, target = state.rotation[self.source], state.rotation[self.target]
        rotation = target @ source.transpose(0, 2, 1)
        moved = (rotation @ state.translation[self.source][..., None])[..., 0]
        translation = state.translation[self.target] - moved
        z = state.inverse_depth[self.source]
        y = state.rays @ rotation.transpose(0, 2, 1) + z[..., None] * translation[:, None]
        ahead = y[..., 2] > _LEAST_DEPTH
        uv = y[..., :2] / np.where(ahead, y[..., 2], 1.0)[..., None]
        return Projection(rotation, translation, z, y, uv, ahead)


@dataclass
class NormalEquations:
    """B, E, C, f and g.

    poses (T, D, 6, 6): block (i, i + d) of B; poses_right (T, 6): f; depths (T, N): C; depths_right (T, N): g; cross:
    for each frame, by pose, the blocks (N, 6) of E that are not 0.
    """

    poses: Float64Array
    poses_right: Float64Array
    depths: Float64Array
    depths_right: Float64Array
    cross: list[dict[int, Float64Array]]

    @staticmethod
    def of(
        state: BundleState, links: list[StackedLinks], sigma: float, prior: float, reach: int
    ) -> "NormalEquations":
        """The equations at ``state``. sigma, prior: see ``bundle_adjustment.refine``; reach: most frames between linked
        ones."""
        count, grid = state.inverse_depth.shape
        # residuals are not divided by sigma, so the prior is multiplied by sigma²
        depths = np.full((count, grid), prior * sigma**2)
        equations = NormalEquations(
            np.zeros((count, 2 * reach + 1, _POSE, _POSE)),
            np.zeros((count, _POSE)),
            depths,
            depths * (np.median(state.inverse_depth) - state.inverse_depth),
            [{} for _ in range(count)],
        )
        for part in links:
            equations._add(part, part.project(state), sigma)
        return equations

    def _add(self, links: StackedLinks, seen: Projection, sigma: float) -> None:
        residual = links.seen - seen.uv
        # Cauchy's weight; a point behind the camera has no projection, so no say
        weight = links.weight * seen.ahead / (1 + (residual**2).sum(-1) / sigma**2)
        by_pose, by_depth = _slopes(seen)
        weighted = by_pose * weight[..., None, None]
        count, grid = weight.shape
        flat = weighted.reshape(count, 2 * grid, _POSE).transpose(0, 2, 1)
        block = flat @ by_pose.reshape(count, 2 * grid, _POSE)
        right = (flat @ residual.reshape(count, 2 * grid, 1))[..., 0]
        cross = (weighted * by_depth[..., None]).sum(2)
        # a step of the source's pose acts as the opposite one of the target's, brought to the target camera
        back = -_adjoint(seen.rotation, seen.translation)
        back_t = back.transpose(0, 2, 1)
        to_source, of_source = back_t @ block, back_t @ block @ back
        right_source, cross_source = (back_t @ right[..., None])[..., 0], cross @ back
        depth = weight * (by_depth**2).sum(-1)
        depth_right = weight * (by_depth * residual).sum(-1)
        for k, (i, j) in enumerate(zip(links.source.tolist(), links.target.tolist(), strict=True)):
            self.poses[i, 0] += of_source[k]
            self.poses[j, 0] += block[k]
            if i < j:
                self.poses[i, j - i] += to_source[k]
            else:
                self.poses[j, i - j] += to_source[k].T
            self.poses_right[i] += right_source[k]
            self.poses_right[j] += right[k]
            self.depths[i] += depth[k]
            self.depths_right[i] += depth_right[k]
            self.cross[i][i] = self.cross[i].get(i, 0) + cross_source[k]
            self.cross[i][j] = self.cross[i].get(j, 0) + cross[k]

    def steps(self, damping: float, fixed: int) -> tuple[Float64Array, Float64Array]:
        """a (T, 6), 0 for the first ``fixed`` poses, and b (T, N).

        damping: relative to the diagonals. Raises LinAlgError where the equations are singular nevertheless.
        """
        matrix, right = self.poses.copy(), self.poses_right.copy()
        inverse = 1 / (self.depths * (1 + damping) + 1e-12)
        for i, cross in enumerate(self.cross):
            poses = sorted(cross)
            if not poses:
                continue
            joined = np.concatenate([cross[p] for p in poses], 1)  # (N, 6 P)
            scaled = (joined * inverse[i][:, None]).T
            less, less_right = scaled @ joined, scaled @ self.depths_right[i]
            for k, p in enumerate(poses):
                rows = slice(_POSE * k, _POSE * (k + 1))
                right[p] -= less_right[rows]
                for m, q in enumerate(poses[k:], k):
                    matrix[p, q - p] -= less[rows, _POSE * m : _POSE * (m + 1)]
        a = _solve(matrix, right, fixed, damping)
        b = np.empty_like(self.depths)
        for i, cross in enumerate(self.cross):
            by_poses = sum((part @ a[p] for p, part in cross.items()), np.zeros(b.shape[1]))
            b[i] = inverse[i] * (self.depths_right[i] - by_poses)
        return a, b


def _slopes(seen: Projection) -> tuple[Float64Array, Float64Array]:
    """Slopes of the projection by a step of the target's pose (L, N, 2, 6) and by inverse depth (L, N, 2).

    A step (d, q) moves Y by z d + q x Y, and the slope of (Y1, Y2) / Y3 by Y has the rows (1, 0, -u) / Y3 and
    (0, 1, -v) / Y3.
    """
    u, v = seen.uv[..., 0], seen.uv[..., 1]
    w = 1 / np.where(seen.ahead, seen.y[..., 2], 1.0)
    by_pose = np.zeros((*u.shape, 2, _POSE))
    by_pose[..., 0, 0] = by_pose[..., 1, 1] = seen.inverse_depth * w
    by_pose[..., 0, 2] = -u * seen.inverse_depth * w
    by_pose[..., 1, 2] = -v * seen.inverse_depth * w
    by_pose[..., 0, 3], by_pose[..., 0, 4], by_pose[..., 0, 5] = -u * v, 1 + u * u, -v
    by_pose[..., 1, 3], by_pose[..., 1, 4], by_pose[..., 1, 5] = -1 - v * v, u * v, u
    t = seen.translation[:, None]
    by_depth = (t[..., :2] - seen.uv * t[..., 2:]) * w[..., None]
    return by_pose, by_depth


def _adjoint(rotation: Float64Array, translation: Float64Array) -> Float64Array:
    """[[R, [t]x R], [0, R]] (L, 6, 6), which brings a step (translation, rotation) to another camera."""
    x, y, z = translation.T
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    adjoint = np.zeros((len(rotation), _POSE, _POSE))
    adjoint[:, :3, :3] = adjoint[:, 3:, 3:] = rotation
    adjoint[:, :3, 3:] = skew @ rotation
    return adjoint


def _solve(matrix: Float64Array, vector: Float64Array, fixed: int, damping: float) -> Float64Array:
    """Steps (T, 6) of the poses from the Schur complement, the first ``fixed`` ones 0.

    matrix (T, D, 6, 6): blocks (i, i + d); vector (T, 6). Frames far apart share no link, so that the
    system is banded: its cost grows with the number of frames, not with its cube.
    """
    count, distances = matrix.shape[:2]
    free = count - fixed
    step = np.zeros((count, _POSE))
    if free < 1:
        return step
    size, band = _POSE * free, _POSE * distances
    upper = np.zeros((band, size + band))  # LAPACK's upper form: the diagonal is the last row
    for d in range(min(distances, free)):
        for r in range(_POSE):
            for c in range(r if d == 0 else 0, _POSE):
                above = _POSE * d + c - r
                if above < band:
                    columns = slice(_POSE * d + c, _POSE * (free - 1) + c + 1, _POSE)
                    upper[band - 1 - above, columns] = matrix[fixed : count - d, d, r, c]
    upper = upper[:, :size]
    # the small constant keeps a pose without any link from making the system singular
    upper[-1] = upper[-1] * (1 + damping) + 1e-9 * (1 + upper[-1].max(initial=0.0))
    step[fixed:] = solveh_banded(upper, vector[fixed:].ravel()).reshape(-1, _POSE)
    return step
