"""A scene as a bundle adjustment sees it: cameras, a sparse grid of points in each frame, and links between frames.

Every frame carries a grid of points with one inverse depth each; every link (i, j) says where the points
of frame i are in frame j.

With R, t the motion from camera i to camera j, a point on the ray (x, y, 1) with inverse depth z projects
to the first two coordinates of

    Y = R (x, y, 1) + z t

divided by its third: its position in camera j times z, so that points at infinity (z = 0) need no special
care. Image coordinates are normalised: pixels less the principal point, divided by the focal length.

Shapes: T frames, N points of the grid, the same in every frame.
"""

from dataclasses import dataclass, field

import numpy as np

from dynprep.arrays import Float64Array, check_shapes

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
