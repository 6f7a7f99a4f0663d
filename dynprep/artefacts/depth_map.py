"""What disparity and depth maps share: reading, pictures, scores, agreement.

Shapes: (H, W) pixels of ``images/``, N points.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, UInt8Array
from dynprep.artefacts.base import Artefact, SceneResults, Scores, check_values
from dynprep.artefacts.display import Curve, Display
from dynprep.artefacts.drawing import colour_span, coloured
from dynprep.artefacts.files import Place
from dynprep.artefacts.images import Images
from dynprep.artefacts.tracks import PairTracks
from dynprep.scene.frames import Frames
from dynprep.scene.truth import Truth
from dynprep.store import ItemWriter
from dynprep.vision.sampling import inside, sample

_RANGE = (0.02, 0.98)  # quantiles that a map's range is measured between
_COMPARED_PIXELS = 40_000  # of a map when two results are compared
_CURVES = {"near": 0.9, "middle": 0.5, "far": 0.1}  # quantiles of disparity


class DepthMap(Artefact, is_abstract=True):
    """A map (H, W) float32 a frame.

    protocols: how it is brought to the true depth before it is scored, as (space, scope, fit) of
    ``metrics.depth.Protocol``.
    """

    protocols: ClassVar[tuple[tuple[str, ...], ...]]
    suffix: ClassVar[str] = ".npy"  # behind the stem, of the float map's file
    near_is_large: ClassVar[bool] = True  # as in disparity
    display = Display.VALUES

    def of(self, stem: str) -> Float32Array:
        """The map (H, W) of a frame."""
        return self.files.array(f"{stem}{self.suffix}").astype(np.float32)

    @classmethod
    def write_map(cls, writer: ItemWriter, frames: Frames, stem: str, values: Float32Array) -> None:
        """Store the map (H, W) of one frame; it must be finite and of the frames' size."""
        check_values(values, f"{cls.name} of frame {stem}", frames.size, np.float32)
        writer.array(f"{stem}{cls.suffix}", values)

    def sky(self, stem: str) -> BoolArray | None:
        """Where the backend sees sky, or what else has no finite depth (H, W); None where it does not say."""
        name = _sky_file(stem)
        return self.files.image(name) > 0 if self.files.holds(name) else None

    @staticmethod
    def write_sky(writer: ItemWriter, frames: Frames, stem: str, sky: BoolArray | None) -> None:
        """Store where there is sky (H, W) in one frame, where the backend says so."""
        if sky is not None:
            check_values(sky, f"sky of frame {stem}", frames.size, np.bool_)
            writer.image(_sky_file(stem), sky)

    def linked(self) -> dict[Place, list[str]]:
        return {self.places[0]: [f"{stem}{self.suffix}" for stem in self.frames.stems]}

    def as_arrays(self) -> Any:
        """The maps of all frames, float32 (T, H, W)."""
        return np.stack([self.of(stem) for stem in self.frames.stems])

    def displayed(self, scene: SceneResults, stem: str) -> Float32Array:
        """The map (H, W) itself."""
        return self.of(stem)

    def quantile_curve(self, scene: SceneResults, title: str) -> Curve:
        """How far near, middle and far pixels are in every frame; None for frames without a value."""
        lines: dict[str, list[float | None]] = {label: [] for label in _CURVES}
        for stem in self.frames.stems:
            values = _thinned(self.displayed(scene, stem))
            values = values[np.isfinite(values)]
            for label, level in _CURVES.items():
                lines[label].append(float(np.quantile(values, level)) if values.size else None)
        return Curve(title, self.displayed_unit(scene), lines)

    def picture(self, scene: SceneResults, stem: str) -> UInt8Array:
        """The map in colours, red where it is largest."""
        values = self.of(stem)
        return coloured(values, *colour_span(values))


def against_depth(artefact: type[Artefact], scene: SceneResults, truth: Truth) -> Scores:
    """Errors under each protocol of the artefact; of what stands still where labels are known (``/static``)."""
    from dynprep.metrics.depth import Protocol

    assert issubclass(artefact, DepthMap)
    if not truth.depth_frames(scene.frames):
        return {}
    static = truth.labels_frames(scene.frames)
    scores: Scores = {}
    for protocol in artefact.protocols:
        named = Protocol(*protocol).score(lambda: true_pairs(scene, truth, artefact, static))  # type: ignore[arg-type]
        scores |= {f"{artefact.name}/{k}{'/static' * static}": v for k, v in named.items()}
    return scores


def true_pairs(
    scene: SceneResults, truth: Truth, artefact: type[DepthMap], static: bool
) -> Iterator[tuple[Any, Any]]:
    """Predicted values and true depth (N,) of each frame's valid pixels, as float64 tensors."""
    import torch

    for frame in scene.frames.table:
        true = truth.depth(frame.index).astype(np.float64)
        valid = np.isfinite(true) & (true > 0)
        if static:
            valid &= _at_size(truth.label(frame.index), true.shape) == 0
        values = scene[artefact].of(frame.stem).astype(np.float64)
        if values.shape != true.shape:
            values = cv2.resize(values, true.shape[::-1], interpolation=cv2.INTER_LINEAR)
        yield torch.from_numpy(values[valid]), torch.from_numpy(true[valid])


def _at_size(labels: UInt8Array, size: tuple[int, ...]) -> UInt8Array:
    """Labels at another size (H, W), by the nearest pixel."""
    if labels.shape == size:
        return labels
    return np.asarray(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST))


def steadiness(artefact: type[Artefact], scene: SceneResults) -> Scores:
    """OPW: how much a map changes along tracks to the next frame, in shares of its range.

    Read it beside ``tracks/cycle_next``: wrong tracks make a steady map look restless.
    """
    import torch

    from dynprep.metrics.consistency import WarpConsistency, likeness
    from dynprep.metrics.values import values

    assert issubclass(artefact, DepthMap)
    maps, frames, tracks = scene[artefact], scene.frames, scene[PairTracks]
    if not tracks.is_readable or len(frames) < 2:
        return {}
    spans = [np.subtract(*np.quantile(maps.of(stem), _RANGE[::-1])) for stem in frames.stems]
    span = float(np.median(spans))
    total = WarpConsistency()
    images = scene[Images]
    for query in tracks.queries:
        if query + 1 not in tracks.targets(query):
            continue
        stem, following = frames.stems[query], frames.stems[query + 1]
        start, moved = tracks.query_pixels(query), tracks.between(query, query + 1)
        at = moved[:, :2]
        weight = likeness(sample(images.rgb(stem), start), sample(images.rgb(following), at))
        weight *= inside(at, frames.height, frames.width) & tracks.visible(moved)
        before = torch.from_numpy(sample(maps.of(stem), start))
        after = torch.from_numpy(sample(maps.of(following), at))
        total.update(before, after, torch.from_numpy(weight), span)
    return {f"{artefact.name}/opw/range": v for v in values(total).values()}


def edges(artefact: type[Artefact], scene: SceneResults) -> Scores:
    """How sharp a map's edges are, and how many lie on edges of the image."""
    from dynprep.metrics.consistency import EdgeSharpness
    from dynprep.metrics.values import values

    assert issubclass(artefact, DepthMap)
    total = EdgeSharpness()
    for stem in scene.frames.stems:
        total.update(scene[artefact].of(stem), scene[Images].rgb(stem))
    return {f"{artefact.name}/edges/{k}": v for k, v in values(total).items()}


def _thinned(values: Float32Array) -> Float32Array:
    """Every k-th row and column, so that about 40,000 pixels are left."""
    step = max(1, round((values.size / _COMPARED_PIXELS) ** 0.5))
    return values[::step, ::step]


def correlation(artefact: type[DepthMap], a: SceneResults, b: SceneResults, stem: str) -> float:
    """Pearson's correlation of two maps of a frame, blind to scale and shift."""
    from dynprep.metrics.regions import agreement

    x, y = _thinned(a[artefact].of(stem)), _thinned(b[artefact].of(stem))
    return agreement(x, y, False)[0] if x.shape == y.shape else float("nan")


def typical_ratio(artefact: type[DepthMap], a: SceneResults, b: SceneResults, stem: str) -> float:
    """exp(−mean |log ratio|) of two maps: 0.9 where one disparity is typically 0.9 of the other."""
    from dynprep.metrics.regions import agreement

    x, y = _thinned(a[artefact].of(stem)), _thinned(b[artefact].of(stem))
    return float(np.exp(-agreement(x, y, True)[1])) if x.shape == y.shape else float("nan")


def _sky_file(stem: str) -> str:
    return f"{stem}.sky.png"
