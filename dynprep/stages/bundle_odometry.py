"""The camera's path from the clip alone: essential matrices, and a robust bundle adjustment over sparse grids.

A path whose scene is inside out is held against the mirrored one (see ``inside_out``).

Shapes: T frames, N points of a grid over the image.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from dynprep.artefacts.base import Scene
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.motion import Poses
from dynprep.options import NotNegative, NotNegativeFloat, OpenShare, Range, Seed, Share
from dynprep.stages.camera_path import INVERSE_DEPTHS, CameraPathStage, GridClip, triangulated
from dynprep.vision.bundle import BundleState, Link
from dynprep.vision.bundle_adjustment import refine, residual, typical_distance
from dynprep.vision.epipolar import beyond_rotation, first_path
from dynprep.vision.focal import FocalEstimate, best_focal, spaced
from dynprep.vision.inside_out import downwards, mirrored
from dynprep.vision.sliding import Links, MeasuredPath, go_on_from, last_frames, windows

_AS_WELL = 1.05  # times the least distance of points: a focal length nearer to the assumed one is taken up to it

# how a window of a clip is adjusted: clip, links, number of frames, the last frames of the window before
Adjusting = Callable[[GridClip, Links, int, BundleState | None], BundleState]


@dataclass(frozen=True)
class _Part:
    """The part of a clip with most parallax, on a coarse grid: clip, links, number of frames."""

    clip: GridClip
    links: Links
    count: int

    def with_focal(self, factor: float) -> "_Part":
        """The same for a focal length ``factor`` times as long, by which normalised coordinates are divided."""
        clip = replace(self.clip, points=self.clip.points / factor, pixel=self.clip.pixel / factor)
        links = {
            pair: Link(*pair, link.seen / factor, link.weight) for pair, link in self.links.items()
        }
        return _Part(clip, links, self.count)


@dataclass
class BundleOdometry(CameraPathStage):
    """Structure from motion on the grid's points, and on the focal length where it is unknown."""

    estimate_focal: bool
    focal_range: list[float]
    focal_frames: Annotated[int, Range(least=8)]
    focal_points: Annotated[int, Range(least=32)]
    focal_certain: OpenShare

    survival: OpenShare
    trusted: Share
    iterations: NotNegative
    prior: NotNegativeFloat
    inside_out: Annotated[float, Range(least=-1, most=0)]
    inside_out_gain: Annotated[float, Range(least=1)]
    seed: Seed

    backend_id = "bundle"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.focal_range) != 2 or not 0 < self.focal_range[0] < self.focal_range[1]:
            raise ValueError(f"focal_range is {self.focal_range}; two growing numbers are meant")

    def ignored(self) -> dict[str, str]:
        options = ("focal_range", "focal_frames", "focal_points", "focal_certain")
        return {} if self.estimate_focal else dict.fromkeys(options, "estimate_focal is false")

    def _path(self, scene: Scene) -> tuple[Poses, list[str]]:
        if len(scene.frames) < 2:
            return Poses(np.eye(3)[None], np.zeros((1, 3)), 1.0, 1.0, 0.0), []
        focal, said = self._focal(scene)
        poses, notes, down = self._measured(scene, focal, self._adjusted)
        if down < self.inside_out and poses.moves:
            upright = self._upright(scene, focal)
            if upright is not None:
                upright_poses, upright_notes = upright
                return replace(upright_poses, own_motion=poses), upright_notes
        return poses, [*said, *notes]

    def _measured(
        self, scene: Scene, focal: FocalEstimate | None, adjusting: Adjusting
    ) -> tuple[Poses, list[str], float]:
        """The path of the whole clip, what the user must know of it, and ``downwards`` of its scene."""
        clip = GridClip.of(scene, self.grid(scene.frames), 1.0 if focal is None else focal.factor)
        measured = MeasuredPath(len(scene.frames))
        before: BundleState | None = None
        for start, end in windows(len(scene.frames), self.window, self.overlap):
            links = self.links(scene, clip, start, end)
            state = adjusting(clip, links, end - start, before)
            measured.add(start, self._fixed(before), state, links, self.sigma * clip.pixel)
            before = last_frames(state, self.overlap)
        poses, notes = self.summary(measured, clip, scene.frames)
        if focal is not None:
            poses = replace(poses, focal_factor=focal.factor, focal_spread=focal.spread)
        return poses, notes, downwards(clip.points, measured.unit_inverse_depths())

    def _focal(self, scene: Scene) -> tuple[FocalEstimate | None, list[str]]:
        """The focal length that fits the clip best, where it is unknown and the clip decides it; what to say of it."""
        if not self._seeks_focal(scene):
            return None, []
        part = self._liveliest(scene)
        low, high = self._factors(scene, part)
        focal = best_focal(
            lambda factor: self._cost(part.with_focal(factor)), low, high, self.focal_certain
        )
        if focal is None:
            return None, [
                "the focal length could not be estimated from the clip: its motion fits several; the guess stays"
            ]
        return focal, [
            f"the focal length was estimated from the clip: {_in_words(scene, part, focal)}, to about "
            f"{focal.spread:.0%}; what is made from parallax uses it"
        ]

    def _seeks_focal(self, scene: Scene) -> bool:
        return self.estimate_focal and not scene[Intrinsics].known

    def _factors(self, scene: Scene, part: _Part) -> tuple[float, float]:
        """Between which factors of the assumed focal length it is looked for."""
        side = max(scene.frames.width, scene.frames.height)
        low, high = (limit * side * part.clip.pixel for limit in self.focal_range)
        return low, high

    def _cost(self, part: _Part) -> float:
        state = self._adjusted(part.clip, part.links, part.count, None)
        return self._residual(part.clip, part.links, state)

    def _residual(self, clip: GridClip, links: Links, state: BundleState) -> float:
        return residual(state, list(links.values()), self.sigma * clip.pixel)

    def _upright(self, scene: Scene, focal: FocalEstimate | None) -> tuple[Poses, list[str]] | None:
        """A path whose scene is not inside out, and what to say of it; None where the clip speaks against any."""
        part = self._liveliest(scene)
        best = part if focal is None else part.with_focal(focal.factor)
        inside_out = typical_distance(self._cost(best))
        said = (
            "the clip's motion fits two scenes, one of them inside out; the upright one was taken"
        )
        if self._seeks_focal(scene):
            tried = {
                factor: self._upright_distance(part.with_focal(factor))
                for factor in (1.0, *spaced(*self._factors(scene, part)))
            }
            good = [k for k, other in tried.items() if other <= min(tried.values()) * _AS_WELL]
            factor = min(good, key=lambda k: abs(np.log(k)))
            off = tried[factor]
            focal = FocalEstimate(factor, max(max(good) / factor, factor / min(good)) - 1)
            said += f", with an uncertain focal length of {_in_words(scene, part, focal)}"
        else:
            off = self._upright_distance(part)
        if not off < self.inside_out_gain * inside_out:
            return None
        poses, notes, down = self._measured(scene, focal, self._upright_adjusted)
        if down < self.inside_out or not poses.moves:
            return None
        said += "; motion.odometry.inside_out=-1 takes the one that fits best"
        return poses, [said, *notes]

    def _upright_distance(self, part: _Part) -> float:
        """The typical distance, in ``sigma``, of a part's points from where its upright scene has them; infinity where
        there is none."""
        state = self._upright_adjusted(part.clip, part.links, part.count, None)
        if downwards(part.clip.points, state.inverse_depth) < self.inside_out:
            return np.inf
        return typical_distance(self._residual(part.clip, part.links, state))

    def _liveliest(self, scene: Scene) -> _Part:
        """What the focal length is estimated from, the part with most parallax."""
        count = len(scene.frames)
        length = min(self.focal_frames, count)
        starts = range(0, count - length + 1, length)
        clip = GridClip.of(scene, self.grid(scene.frames, self.focal_points))
        sigma = self.sigma * clip.pixel

        def parallax(start: int) -> float:
            links = self.links(scene, clip, start, start + length)
            longest = max(abs(i - j) for i, j in links)
            shifts = [
                beyond_rotation(np.c_[clip.points, np.ones(len(clip.points))], link, sigma)
                for (i, j), link in links.items()
                if j - i == longest
            ]
            return float(np.median(shifts))

        best = max(starts, key=parallax) if len(starts) > 1 else 0
        return _Part(clip, self.links(scene, clip, best, best + length), length)

    def _fixed(self, before: BundleState | None) -> int:
        """How many poses at a window's beginning stay as the window before left them.

        The later ones of those that two windows share are refined again: they lacked frames ahead.
        """
        return 1 if before is None else max(1, self.overlap // 2)

    def _adjusted(
        self, clip: GridClip, links: Links, count: int, before: BundleState | None
    ) -> BundleState:
        """Poses and inverse depths of a window; it goes on from the last frames of the window before."""
        rotation, translation = first_path(
            clip.points,
            links,
            count,
            self.survival,
            self.trusted,
            self.sigma * clip.pixel,
            self.seed,
        )
        ones = np.ones((count, len(clip.points)))
        state = BundleState(clip.points, rotation, translation, ones)
        self._first_depths(state, links, self.sigma * clip.pixel)
        return self._refined(state, clip, links, before)

    def _upright_adjusted(
        self, clip: GridClip, links: Links, count: int, before: BundleState | None
    ) -> BundleState:
        """The same, or the mirrored scene where that is nearer towards the bottom and fits not much worse."""
        state = self._adjusted(clip, links, count, before)
        other = self._refined(mirrored(state, INVERSE_DEPTHS), clip, links, before)
        leans = [downwards(clip.points, each.inverse_depth) for each in (state, other)]
        off = [typical_distance(self._residual(clip, links, each)) for each in (state, other)]
        return other if leans[1] > leans[0] and off[1] < self.inside_out_gain * off[0] else state

    def _refined(
        self, state: BundleState, clip: GridClip, links: Links, before: BundleState | None
    ) -> BundleState:
        if before is not None:
            go_on_from(state, before)
        sigma, fixed = self.sigma * clip.pixel, self._fixed(before)
        refine(state, list(links.values()), sigma, self.iterations, self.prior, fixed)
        return state

    def _first_depths(self, state: BundleState, links: Links, sigma: float) -> None:
        """Inverse depths by triangulation, and the unit in which their median is 1."""
        z, known = triangulated(state, links, sigma)
        middle = float(np.median(z[known])) if known.any() else 1.0
        # far outside the usual range a first guess only misleads
        state.inverse_depth = np.clip(np.where(known, z / middle, 1.0), *INVERSE_DEPTHS)
        state.translation = state.translation * middle


def _in_words(scene: Scene, part: _Part, focal: FocalEstimate) -> str:
    """A focal length in pixels, and the angle that it sees."""
    pixels = focal.factor / part.clip.pixel
    side = max(scene.frames.width, scene.frames.height)
    angle = 2 * np.degrees(np.arctan(side / 2 / pixels))
    return f"{pixels:.0f} pixels of images/ ({angle:.0f}° across the longer side)"
