"""A camera's path measured window by window, so that memory does not grow with the clip.

Neighbouring windows share frames. A window is brought to the unit and the world of the one before it by these frames,
some of whose poses then stay as they are while the rest is refined.

Shapes: T frames, N points of the grid.
"""

from dataclasses import dataclass, field

import numpy as np

from dynprep.arrays import Float64Array
from dynprep.vision.bundle import BundleState, Link, relative
from dynprep.vision.epipolar import beyond_rotation, triangulate
from dynprep.vision.motion import rigid_residual

Links = dict[tuple[int, int], Link]

_EVERY = 8  # of a long clip the links of every so-many-th frame tell the noise
_SHORT = 2  # frames: links that tell the noise
_FEWEST = 16  # points that decide the ratio of two units


def windows(count: int, length: int, overlap: int) -> list[tuple[int, int]]:
    """First frame of each window and the frame after its last: all of at most ``length`` frames, neighbours sharing
    ``overlap``. A clip of ``length`` frames is one window. Raises ValueError unless ``overlap`` is below ``length``."""
    if not 0 < overlap < length:
        raise ValueError(f"overlap is {overlap}; it must be between 1 and {length - 1}")
    if count <= length:
        return [(0, count)]
    step = length - overlap
    starts = range(0, count - overlap, step)
    return [(start, min(start + length, count)) for start in starts]


def last_frames(state: BundleState, overlap: int) -> BundleState:
    """Poses and inverse depths of the last frames, with which the next window begins."""
    return BundleState(
        state.points,
        state.rotation[-overlap:].copy(),
        state.translation[-overlap:].copy(),
        state.inverse_depth[-overlap:].copy(),
    )


def go_on_from(state: BundleState, before: BundleState) -> None:
    """Bring a window, in place, to the unit and the world of ``before``, which its first frames are."""
    shared = len(before.rotation)
    anchor = shared - 1
    ours, theirs = state.inverse_depth[:shared], before.inverse_depth
    known = (ours > 0) & (theirs > 0)
    # an inverse depth is in 1 / unit, so the ratio of the two is a length of ours in units of theirs
    ratio = float(np.median(ours[known] / theirs[known])) if known.sum() >= _FEWEST else 1.0
    rotation, translation = state.rotation.copy(), state.translation.copy()
    for k in range(len(rotation)):
        if k < shared:
            state.rotation[k], state.translation[k] = before.rotation[k], before.translation[k]
            continue
        turn = rotation[k] @ rotation[anchor].T
        move = (translation[k] - turn @ translation[anchor]) * ratio
        state.rotation[k] = turn @ before.rotation[anchor]
        state.translation[k] = turn @ before.translation[anchor] + move
    state.inverse_depth = state.inverse_depth / ratio
    state.inverse_depth[:shared] = theirs


@dataclass
class MeasuredPath:
    """What the windows have told of a clip of ``count`` frames; later windows replace what earlier ones said.

    rotation (T, 3, 3) and translation (T, 3) bring world coordinates to the camera's; inverse_depth: (N,) of each
    frame; off: (N,) of each frame, median distance from the epipolar lines over its longest links; parallax: of each
    frame's longest links, the shift that no rotation explains; short: links of neighbours.
    """

    count: int
    rotation: Float64Array = field(init=False)
    translation: Float64Array = field(init=False)
    inverse_depth: dict[int, Float64Array] = field(default_factory=dict)
    off: dict[int, Float64Array] = field(default_factory=dict)
    parallax: dict[int, list[float]] = field(default_factory=dict)
    short: Links = field(default_factory=dict)
    rays: Float64Array = field(init=False)
    windows: int = 0

    def __post_init__(self) -> None:
        self.rotation = np.zeros((self.count, 3, 3))
        self.translation = np.zeros((self.count, 3))

    def add(self, start: int, fixed: int, state: BundleState, links: Links, sigma: float) -> None:
        """Take over a window that begins at frame ``start``, from its first pose that was refined.

        fixed: poses at its beginning that were not; sigma: residual, in normalised coordinates, at which a point
        counts half.
        """
        first = 0 if start == 0 else fixed
        self.windows += 1
        self.rays = state.rays
        own = range(first, len(state.rotation))
        for k in own:
            self.rotation[start + k] = state.rotation[k]
            self.translation[start + k] = state.translation[k]
            self.inverse_depth[start + k] = state.inverse_depth[k]
        self.short = {pair: link for pair, link in self.short.items() if pair[0] < start + first}
        # own motion shows best over the longest links
        longest = max((abs(i - j) for i, j in links), default=0)
        distances: dict[int, list[Float64Array]] = {k: [] for k in own}
        for k in own:
            self.parallax[start + k] = []
        for (i, j), link in links.items():
            if i < first:
                continue
            turn, move = relative(state, i, j)
            if 2 * abs(i - j) >= longest:
                distance = triangulate(state.rays, link.seen, turn, move)[2]
                distances[i].append(np.where(link.weight > 0, distance, np.inf))
                self.parallax[start + i].append(beyond_rotation(state.rays, link, sigma))
            if abs(i - j) <= _SHORT and (self.windows == 1 or (start + i) % _EVERY == 0):
                self.short[start + i, start + j] = link
        nothing = np.full(len(state.points), np.inf)
        for k, rows in distances.items():
            self.off[start + k] = np.median(rows or [nothing], axis=0)

    def rescale(self, middle: float, limits: tuple[float, float]) -> None:
        """Bring inverse depths and translations to the unit in which the inverse depth ``middle`` is 1.

        limits: between which inverse depths are then kept.
        """
        for k, z in self.inverse_depth.items():
            self.inverse_depth[k] = np.clip(z / middle, *limits)
        self.translation *= middle

    def unit_inverse_depths(self) -> Float64Array:
        """Inverse depths (T, N), brought with the translations to the unit in which their median is 1."""
        z = np.stack([self.inverse_depth[k] for k in range(self.count)])
        if self.windows > 1:  # of one window they are
            middle = float(np.median(z))
            z /= middle
            self.translation = self.translation * middle
            self.inverse_depth = dict(enumerate(z))
        return z

    def median_off(self) -> Float64Array:
        """Median distance (T, N) of each point from its epipolar lines."""
        return np.stack([self.off[k] for k in range(self.count)])

    def median_parallax(self) -> float:
        """Median over the longest links of the shift that no rotation explains."""
        return float(np.median([shift for shifts in self.parallax.values() for shift in shifts]))

    def noise(self, nearest: float, farthest: float, pixel: float) -> float:
        """Median distance, in pixels a frame, of neighbours' points from where static ones could be; see
        ``rigid_residual``. pixel: in normalised coordinates."""
        residuals: list[Float64Array] = []
        for (i, j), link in self.short.items():
            turn = self.rotation[j] @ self.rotation[i].T
            move = self.translation[j] - turn @ self.translation[i]
            r = rigid_residual(self.rays, link.seen, turn, move, farthest, nearest)
            residuals.append(r[link.weight > 0] / abs(i - j) / pixel)
        return float(np.median(np.concatenate(residuals))) if residuals else 0.0
