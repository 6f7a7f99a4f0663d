"""The demo's world: textured static surfaces, two bodies that move on their own, a moving camera.

Everything is a closed formula of time, so depth, object labels, flow and occlusion are known
exactly for every pixel and pair of frames. Camera axes: x right, y down, z forward; metres.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from dynprep.arrays import Float32Array, Float64Array, UInt8Array

NEVER = np.float32(np.inf)  # the distance of a ray that hits nothing
STATIC, BALL, CRATE = 0, 1, 2  # labels of pixels


class Shape(Protocol):
    """A surface in its own coordinates."""

    def hit(self, origin: Float32Array, rays: Float32Array) -> Float32Array:
        """Distance along ``rays`` (..., 3) from ``origin`` (3,), in ray lengths; inf for none."""
        ...


@dataclass(frozen=True)
class Plane:
    """Points p with ``axis``-th coordinate equal to ``offset`` (m)."""

    axis: int
    offset: float

    def hit(self, origin: Float32Array, rays: Float32Array) -> Float32Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (np.float32(self.offset) - origin[self.axis]) / rays[..., self.axis]
        return np.where(distance > 0, distance, NEVER)


@dataclass(frozen=True)
class Box:
    """An axis-aligned box around the origin with half sizes ``half`` (m)."""

    half: tuple[float, float, float]

    def hit(self, origin: Float32Array, rays: Float32Array) -> Float32Array:
        half = np.asarray(self.half, np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / rays
            a, b = (-half - origin) * inverse, (half - origin) * inverse
        # by hand: NumPy's reductions over an axis of three take most of the rendering
        first, last = np.minimum(a, b), np.maximum(a, b)
        near = np.maximum(np.maximum(first[..., 0], first[..., 1]), first[..., 2])
        far = np.minimum(np.minimum(last[..., 0], last[..., 1]), last[..., 2])
        return np.where((near <= far) & (near > 0), near, NEVER)


@dataclass(frozen=True)
class Sphere:
    """A sphere around the origin, ``radius`` in metres."""

    radius: float

    def hit(self, origin: Float32Array, rays: Float32Array) -> Float32Array:
        squares = rays * rays
        a = squares[..., 0] + squares[..., 1] + squares[..., 2]
        b = rays @ origin
        c = origin @ origin - np.float32(self.radius) ** 2
        square = b * b - a * c
        distance = (-b - np.sqrt(np.maximum(square, 0))) / a
        return np.where((square > 0) & (distance > 0), distance, NEVER)


@dataclass(frozen=True)
class Body:
    """A shape with a look: ``tint`` (r, g, b) in 0..1, ``scale`` texture repeats a metre."""

    shape: Shape
    label: int
    position: tuple[float, float, float]
    tint: tuple[float, float, float]
    scale: float = 0.35


BODIES = (
    Body(Plane(2, 9.0), STATIC, (0, 0, 0), (0.85, 0.75, 0.60), 0.12),  # back wall
    Body(Plane(1, 1.2), STATIC, (0, 0, 0), (0.55, 0.70, 0.50), 0.20),  # floor
    Body(Plane(0, -4.2), STATIC, (0, 0, 0), (0.60, 0.65, 0.85), 0.15),  # side wall
    Body(Box((0.22, 1.7, 0.22)), STATIC, (0.85, -0.2, 4.0), (0.95, 0.85, 0.55)),  # pillar
    Body(Box((0.55, 0.40, 0.55)), STATIC, (-1.9, 0.8, 5.2), (0.80, 0.50, 0.45)),
    Body(Box((0.50, 0.90, 0.50)), STATIC, (2.9, 0.3, 6.4), (0.50, 0.60, 0.90)),
    Body(Box((0.30, 0.25, 0.30)), STATIC, (-0.55, 0.95, 3.1), (0.70, 0.85, 0.80)),
    Body(Sphere(0.50), BALL, (0, 0, 0), (0.95, 0.45, 0.40), 0.6),
    Body(Box((0.30, 0.30, 0.30)), CRATE, (0, 0, 0), (0.45, 0.90, 0.95), 0.6),
)


def turn(yaw: float, roll: float = 0.0) -> Float64Array:
    """Rotation (3, 3): ``yaw`` about the y axis after ``roll`` about the z axis, in radians."""
    cy, sy, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return about_y @ np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])


def pose(rotation: Float64Array, position: tuple[float, ...]) -> Float64Array:
    """The (4, 4) matrix that brings own coordinates to the world's."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = position
    return matrix


def camera_pose(time: float) -> Float64Array:
    """Camera to world (4, 4) at ``time`` in 0..1: a dolly sideways and forward that sways."""
    position = (-0.7 + 1.5 * time, 0.10 * np.sin(2.5 * time), 0.35 * time)
    return pose(turn(0.06 - 0.14 * time, 0.02 * np.sin(6.0 * time)), position)


def body_pose(label: int, time: float) -> Float64Array:
    """Body to world (4, 4): the ball rolls behind the pillar, the crate slides across the floor."""
    if label == BALL:
        x = -0.75 + 3.15 * time
        return pose(turn(0.0, 3.15 * time / 0.5), (x, 0.7 - 0.35 * abs(np.sin(7.0 * time)), 5.2))
    if label == CRATE:
        return pose(turn(0.5 + 0.9 * time), (1.7 - 1.3 * time, 0.9, 3.3 - 0.5 * time))
    return np.eye(4)


def make_texture(seed: int, size: int = 1024, octaves: int = 6) -> Float32Array:
    """A tiling grey texture (size, size) around 1: smooth noise of ``octaves`` frequencies."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = 16 << octave
        lattice = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
        wide = np.pad(lattice, 2, mode="wrap")
        step = size // cells
        fine = cv2.resize(wide, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += fine[2 * step : 2 * step + size, 2 * step : 2 * step + size] * 0.75**octave
    return 1 + 0.55 * total / np.abs(total).max() + 0.15 * np.sign(total)


def _shade(body: Body, points: Float32Array, texture: Float32Array) -> Float32Array:
    """Colour (..., 3) of surface ``points`` (N, 3) in the body's own coordinates."""
    if isinstance(body.shape, Plane):
        axis = np.full(len(points), body.shape.axis)
    else:
        half = np.asarray(getattr(body.shape, "half", (1, 1, 1)), np.float32)
        axis = np.abs(points / half).argmax(-1)
    other = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    uv = np.take_along_axis(points, other, 1) * (body.scale * texture.shape[0])
    uv += axis[:, None] * 173.0 + body.label * 311.0  # so that faces and bodies differ
    size = texture.shape[0]
    u, v = uv[:, 0] % size, uv[:, 1] % size
    # remap wants images no wider than 32767: fold the list of points into rows
    rows = -(-len(u) // 4096)
    folded = [np.resize(c, (rows, 4096)).astype(np.float32) for c in (u, v)]
    grey = cv2.remap(texture, folded[0], folded[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    light = 1.0 - 0.18 * axis  # each direction of a face has its own light
    return (grey.ravel()[: len(u)] * light)[:, None] * np.asarray(body.tint, np.float32)


def _rays(
    intrinsics: Float64Array, size: tuple[int, int], shift: tuple[float, float]
) -> Float32Array:
    """Camera rays (H, W, 3) with z = 1 through pixel centres moved by ``shift`` (x, y) pixels."""
    fx, fy, cx, cy = intrinsics
    x = (np.arange(size[1]) + shift[0] - cx) / fx
    y = (np.arange(size[0]) + shift[1] - cy) / fy
    grid = np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), -1)
    return grid.astype(np.float32)


def trace(
    intrinsics: Float64Array,
    size: tuple[int, int],
    time: float,
    shift: tuple[float, float],
    texture: Float32Array | None,
) -> tuple[Float32Array, UInt8Array, Float32Array | None]:
    """Depth (H, W) in metres, labels (H, W) and, with a texture, colour (H, W, 3) in 0..255."""
    to_world = camera_pose(time)
    rays = _rays(intrinsics, size, shift)
    depth = np.full(size, NEVER, np.float32)
    owner = np.zeros(size, np.uint8)
    local: list[tuple[Float32Array, Float32Array]] = []
    for index, body in enumerate(BODIES):
        own = body_pose(body.label, time) @ pose(np.eye(3), body.position)
        to_own = np.linalg.inv(own) @ to_world
        origin = to_own[:3, 3].astype(np.float32)
        turned = rays @ to_own[:3, :3].T.astype(np.float32)
        local.append((origin, turned))
        # rays have z = 1 in the camera, so the distance in ray lengths is the depth
        hit = body.shape.hit(origin, turned)
        nearer = hit < depth
        depth[nearer], owner[nearer] = hit[nearer], index
    labels = np.array([b.label for b in BODIES], np.uint8)[owner]
    if texture is None:
        return depth, labels, None
    colour = np.zeros((*size, 3), np.float32)
    for index, body in enumerate(BODIES):
        seen = owner == index
        if seen.any():
            origin, turned = local[index]
            colour[seen] = _shade(body, origin + turned[seen] * depth[seen][:, None], texture)
    return depth, labels, np.clip(colour * 165, 0, 255)


def render(
    intrinsics: Float64Array, size: tuple[int, int], time: float, texture: Float32Array
) -> tuple[UInt8Array, Float32Array, UInt8Array]:
    """One frame: RGB (H, W, 3) from two rays a pixel, depth (H, W) in m and labels at centres."""
    quarters = [(-0.25, 0.25), (0.25, -0.25)]
    total = np.zeros((*size, 3), np.float32)
    for shift in quarters:
        colour = trace(intrinsics, size, time, shift, texture)[2]
        assert colour is not None
        total += colour
    depth, labels, _ = trace(intrinsics, size, time, (0.0, 0.0), None)
    return np.rint(total / len(quarters)).astype(np.uint8), depth, labels
