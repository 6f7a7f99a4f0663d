"""What moves against the camera's motion in any frame of a clip, found in all of them, and cut out along colour edges.

Shapes: (H, W) pixels of ``images/``, (h, w) cells of a coarse grid.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.motion import CameraPath, OpticalFlow, ParallaxMaps
from dynprep.backends.flow_links import FlowLinks
from dynprep.backends.labelling import Labelling
from dynprep.cores import cores
from dynprep.options import AtLeastOne, NotNegativeFloat, Positive, Share
from dynprep.scene.resolution import resize
from dynprep.vision.appearance import log_odds
from dynprep.vision.border import against_border

_CACHED = 32  # frames whose evidence is cached
_THREADS = 8  # more would need more cached frames
_STEPS = 255  # of a label
_STILL = 1e-3  # working pixels a frame that are not distinguished from none
_AROUND = 2  # frames on each side that set a frame's scale and that the border's motion is measured against


@dataclass(frozen=True)
class MovingMask:
    """mask (H, W) of a frame; motion (h, w): the own motion, in working pixels a frame, that a cell's evidence amounts
    to; threshold: the one that counts half."""

    number: int
    mask: BoolArray
    motion: Float32Array
    threshold: float


@dataclass
class Moving(Labelling):
    """The options of ``conf/_shared/moving.yaml`` too, mixed into a stage that looks for what moves."""

    noise_factor: Positive
    least_motion: NotNegativeFloat
    fast_share: Share
    relative: Share
    border_weight: Share
    border_width: Share
    unmeasured: Share
    reach: AtLeastOne
    samples: AtLeastOne
    least_label: Share

    def motion_reads(self) -> tuple[type[Artefact], ...]:
        """What is looked at to find what moves."""
        return (Images, OpticalFlow, CameraPath, ParallaxMaps)

    def moving(self, scene: Scene) -> Iterator[MovingMask]:
        """What moves in every frame, in order."""
        return _MovingClip(self, scene).masks()


def _otsu(labels: Float32Array) -> float:
    """The threshold (Otsu 1979) between low and high labels (n) in 0..1."""
    steps = np.round(labels * _STEPS).astype(np.uint8)
    threshold, _ = cv2.threshold(steps, 0, _STEPS, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(threshold) / _STEPS


class _MovingClip:
    """Finds what moves in a clip, in two passes over its frames; what is held does not grow with their number.

    A cell's evidence is its own motion against the camera's path, joined with its motion against the image's border,
    which also shows an object that the camera follows. Evidence is averaged along the flow; what it goes with in
    colour and place is learnt over the whole clip, so that what moves in some frames is known in all.
    """

    def __init__(self, options: Moving, scene: Scene) -> None:
        self._o, self._scene, self._frames = options, scene, scene.frames
        self._work, self._size = options.work(scene.frames), options.cells(scene.frames)
        self._links = FlowLinks(scene[OpticalFlow], self._size, options.reach)
        noise = scene[CameraPath].own_motion.noise * self._work[1] / scene.frames.width
        self._least = max(options.least_motion, _STILL)
        self._noise_threshold = max(self._least, options.noise_factor * noise)
        self._reading = Lock()
        self._speeds = lru_cache(_CACHED)(self._find_speeds)
        self._evidence = lru_cache(_CACHED)(self._find_evidence)
        self._trust = lru_cache(_CACHED)(self._find_trust)
        self._appearance = options.appearance()
        self._level = 0.0  # log-odds of the label from which appearance speaks for an object

    def _find_speeds(self, number: int) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Own motion against the camera's path and against the border, and whether the first is measured, (h, w)."""
        with self._reading:
            maps = self._scene[ParallaxMaps].of(self._frames.stems[number])
        small = self._size[::-1]
        motion = cv2.resize(maps.motion, small, interpolation=cv2.INTER_AREA)
        measured = cv2.resize(maps.measured, small, interpolation=cv2.INTER_AREA)
        per_cell = self._work[1] / self._size[1]
        sharpest = self._least / per_cell
        residuals = [
            np.where(
                link.within,
                against_border(link.flow, link.trust, self._o.border_width, sharpest)
                * (per_cell / abs(link.other - number)),
                np.inf,
            )
            for link in self._links.of(number)
            if abs(link.other - number) <= _AROUND
        ]
        if not residuals:
            return motion, motion, measured
        # the second lowest of those on the image: one may be wrong by chance; what leaves it has motion's own
        lowest = np.sort(residuals, 0)
        second = lowest[min(1, len(residuals) - 1)]
        second = np.where(np.isfinite(second), second, lowest[0])
        return motion, np.where(np.isfinite(second), second, motion).astype(np.float32), measured

    def _thresholds(self, number: int) -> tuple[float, float]:
        """Own motion that counts half, against the camera's path and against the border, in working pixels a frame."""
        last = len(self._frames) - 1
        near = [
            self._speeds(n)
            for n in range(max(0, number - _AROUND), min(last, number + _AROUND) + 1)
        ]
        floors = (self._noise_threshold, self._least)
        result = []
        for kind, floor in enumerate(floors):
            fastest = np.median(
                [np.quantile(speeds[kind], 1 - self._o.fast_share) for speeds in near]
            )
            result.append(max(floor, self._o.relative * float(fastest)))
        return result[0], result[1]

    def _find_evidence(self, number: int) -> Float32Array:
        """How clearly each cell (h, w) moves by itself, 0..1; 0.5 at the threshold."""
        by_camera, by_border, _ = self._speeds(number)
        a, b = (
            speed**2 / (speed**2 + threshold**2)
            for speed, threshold in zip(
                (by_camera, by_border), self._thresholds(number), strict=True
            )
        )
        weight = self._o.border_weight
        return np.asarray(a ** (1 - weight) * b**weight, np.float32)

    def _find_trust(self, number: int) -> Float32Array:
        """How much each cell's evidence counts (h, w), 0..1."""
        measured = self._speeds(number)[2]
        return np.where(measured > 0.5, 1, self._o.unmeasured).astype(np.float32)

    def _colours(self, number: int) -> Float32Array:
        rgb = resize(self._rgb(number), self._size)
        return self._appearance.inputs(rgb, number / max(1, len(self._frames) - 1))

    def _rgb(self, number: int) -> UInt8Array:
        with self._reading:
            return self._scene[Images].rgb(self._frames.stems[number])

    def _samples(self, number: int) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Inputs (n, 6), evidence (n) and trust (n) of cells drawn from a frame."""
        cells = self._size[0] * self._size[1]
        count = min(cells, max(1, self._o.samples // len(self._frames)))
        draw = np.random.default_rng([self._o.seed, number])
        chosen = draw.choice(cells, count, replace=False)
        evidence = self._links.average(number, self._evidence, self._trust)
        inputs = self._colours(number).reshape(cells, -1)[chosen]
        return inputs, evidence.ravel()[chosen], self._trust(number).ravel()[chosen]

    def _learn(self, pool: ThreadPoolExecutor) -> None:
        """The first pass: what evidence goes with, and from which label on appearance speaks for an object."""
        drawn = list(pool.map(self._samples, range(len(self._frames))))
        for inputs, evidence, trust in drawn:
            self._appearance.add(inputs, evidence, trust)
        labels = np.concatenate([self._appearance(inputs) for inputs, _, _ in drawn])
        level = self._o.least_label
        if labels.min() < labels.max():
            level = max(level, _otsu(labels))
        self._level = float(log_odds(np.array(level)))

    def _mask(self, number: int) -> MovingMask:
        """The second pass, of one frame."""
        evidence = self._links.average(number, self._evidence, self._trust)
        trust = self._links.average(number, self._trust)
        appearance = log_odds(self._appearance(self._colours(number))) - self._level
        odds = appearance + trust * log_odds(evidence)
        mask = self._o.cut(self._rgb(number), odds, self._frames)
        threshold = self._thresholds(number)[0]
        joined = threshold * np.exp(log_odds(self._evidence(number)) / 2)
        return MovingMask(number, mask, joined.astype(np.float32), threshold)

    def masks(self) -> Iterator[MovingMask]:
        """The masks of all frames, in order."""
        threads = min(cores(), _THREADS)
        with ThreadPoolExecutor(threads) as pool:
            self._learn(pool)
            ahead = 2 * threads  # so that masks wait for their writer in bounded number
            for start in range(0, len(self._frames), ahead):
                numbers = range(start, min(start + ahead, len(self._frames)))
                yield from pool.map(self._mask, numbers)
        for kept in (self._speeds, self._evidence, self._trust):
            kept.cache_clear()  # as with the links
        self._links.forget()
