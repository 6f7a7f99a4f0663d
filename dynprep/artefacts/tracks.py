"""Dense tracks for ordered pairs of frames, one file a pair.

Shapes: N query pixels, T frames, (N, 4) columns x, y, occlusion, confidence; x and y in pixels of ``images/``,
pixel centres at whole numbers.
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np

from dynprep.arrays import AnyArray, BoolArray, Float32Array, UInt8Array
from dynprep.artefacts.base import Agreement, Artefact, SceneResults, Scorer, Scores, check_values
from dynprep.artefacts.display import Curve
from dynprep.artefacts.drawing import draw_points, draw_trails, start_colours
from dynprep.artefacts.files import Place
from dynprep.artefacts.images import Images
from dynprep.evenly import evenly
from dynprep.foreign import shown
from dynprep.scene.frames import Frames
from dynprep.scene.truth import Truth
from dynprep.store import ItemWriter
from dynprep.vision.sampling import inside, pixel_grid, sample

TrackFormat = Literal["npy", "pth"]
ScoreForm = Literal["probability", "logit"]

X, Y, OCCLUSION, CONFIDENCE = range(4)  # columns of a track file
_HEADER = 128  # bytes of a .npy header
_CERTAIN = 1e-6  # how near to 0 and 1 a probability may be before its logit is taken
_TRACKS_ACROSS = 32  # points drawn over the width
_DIMMED = 0.75  # of the light of frames that a video draws points on
_TRAIL = 8  # frames back over which a point's way is drawn
_LATER = 6  # frames between the query frame and the frame that tracks are drawn to
_SCORED_QUERIES = 8  # evenly spaced query frames whose tracks are scored against truth
_CYCLE_QUERIES = 4  # evenly spaced query frames whose cycles are measured: two files a pair
_NEAR = 4.0  # pixels between tracks of two results that agree
_AGREEMENT_TARGETS = 8  # evenly spaced frames in which two results' tracks are compared


@dataclass(frozen=True)
class Pairs:
    """Which ordered pairs of frames are wanted.

    window: at most so many frames apart, None for any distance; stride: from every so-many-th frame.
    """

    window: int | None = None
    stride: int = 1

    @staticmethod
    def parse(text: str) -> "Pairs":
        """Read ``all``, ``window:K`` or ``stride:S``; ValueError for anything else."""
        match = re.fullmatch(r"all|(window|stride):([1-9]\d*)", text)
        if match is None:
            raise ValueError(
                f"pairs is {shown(text)}; all, window:K or stride:S is meant, e.g. window:8"
            )
        if match.group(1) == "window":
            return Pairs(window=int(match.group(2)))
        return Pairs(stride=int(match.group(2) or 1))

    def queries(self, count: int) -> list[int]:
        """Numbers of the query frames of a clip of ``count`` frames."""
        return list(range(0, count, self.stride))

    def targets(self, query: int, count: int) -> range:
        """Numbers of the frames that a query frame's points are followed to, itself included."""
        if self.window is None:
            return range(count)
        return range(max(0, query - self.window), min(count, query + self.window + 1))

    def count(self, frames: int) -> int:
        """How many pairs a clip of so many frames has."""
        return sum(len(self.targets(q, frames)) for q in self.queries(frames))


@dataclass(frozen=True)
class TrackForm:
    """How tracks are written: pixels between query pixels, file formats, pairs, dtype and form of the scores."""

    rate: int
    formats: tuple[TrackFormat, ...]
    pairs: Pairs
    dtype: str
    scores: ScoreForm

    @staticmethod
    def of(options: Mapping[str, Any]) -> "TrackForm":
        """The form that a backend's options ask for."""
        return TrackForm(
            options["rate"],
            tuple(options["formats"]),
            Pairs.parse(options["pairs"]),
            options["dtype"],
            options["scores"],
        )

    def grid(self, frames: Frames) -> Float32Array:
        """All query pixels (N, 2) as (x, y): x = 0, rate, 2·rate …, row-major."""
        return pixel_grid(frames.height, frames.width, self.rate).reshape(-1, 2)

    def bytes(self, frames: Frames) -> int:
        """Bytes of all files of a scene, at most."""
        points = -(-frames.height // self.rate) * -(-frames.width // self.rate)
        per_file = 4 * np.dtype(self.dtype).itemsize * points + _HEADER
        return self.pairs.count(len(frames)) * per_file * len(self.formats)

    def encoded(self, tracks: Float32Array) -> AnyArray:
        """Tracks (N, 4) as they are written: scores as probabilities or as TAPIR's logits, in ``dtype``."""
        if self.scores == "logit":
            p = np.clip(tracks[:, OCCLUSION:].astype(np.float64), _CERTAIN, 1 - _CERTAIN)
            p[:, 1] = 1 - p[:, 1]  # TAPIR's last column grows with the expected error
            tracks = np.concatenate([tracks[:, :OCCLUSION], np.log(p / (1 - p))], 1)
        return np.ascontiguousarray(tracks, self.dtype)

    def decoded(self, tracks: AnyArray) -> Float32Array:
        """Tracks (N, 4) float32 as they were before ``encoded``."""
        tracks = tracks.astype(np.float32)
        if self.scores == "logit":
            p = 1 / (1 + np.exp(-tracks[:, OCCLUSION:].astype(np.float64)))
            tracks[:, OCCLUSION] = p[:, 0]
            tracks[:, CONFIDENCE] = 1 - p[:, 1]
        return tracks


def own_tracks(points: Float32Array) -> Float32Array:
    """Tracks (N, 4) of query pixels (N, 2) in their own frame: there, not hidden, certain."""
    rest = np.tile(np.array([0.0, 1.0], np.float32), (len(points), 1))
    return np.concatenate([points, rest], 1).astype(np.float32)


def _tap_vid(artefact: type[Artefact], scene: SceneResults, truth: Truth) -> Scores:
    """TAP-Vid's metrics of evenly spaced query frames against all others, at the written pixels."""
    import torch

    from dynprep.metrics.tracks import TapVid
    from dynprep.metrics.values import values

    tracks, frames = scene[PairTracks], scene.frames
    if not tracks.is_readable or not truth.follows(frames):
        return {}
    total = TapVid()
    for query in evenly(tracks.queries, _SCORED_QUERIES):
        points = tracks.query_pixels(query).astype(np.float64)
        for target in tracks.targets(query):
            source = (frames.table[query].index, frames.table[target].index)
            known = truth.tracks(*source, points, frames.size)
            if target == query or not len(points) or known is None:
                continue
            moved, seen, counted = known
            ours = tracks.between(query, target)[counted]
            true = torch.from_numpy(moved[counted]), torch.from_numpy(seen[counted])
            visible = torch.from_numpy(tracks.visible(ours))
            total.update(torch.from_numpy(ours[:, :2]), visible, *true, frames.size)
    scores = values(total)
    if not truth.knows_hiding:  # a flow without occlusion says nothing of visibility
        scores = {k: v for k, v in scores.items() if k == "delta_avg"}
    return {f"{artefact.name}/{k}": v for k, v in scores.items()}


def _cycles(artefact: type[Artefact], scene: SceneResults) -> Scores:
    """How far tracks return to where they started: over all targets of some query frames, and over neighbours."""
    from dynprep.metrics.tracks import CycleConsistency
    from dynprep.metrics.values import values

    tracks = scene[PairTracks]
    if not tracks.is_readable or len(scene.frames) < 2 or not tracks.is_full_grid:
        return {}  # the way back is read between the points of a whole grid
    every, following = CycleConsistency(), CycleConsistency()
    queries = tracks.queries
    for query in evenly(queries, _CYCLE_QUERIES):
        for target in tracks.targets(query):
            if target != query and target in queries:
                every.update(*cycle(tracks, query, target))
    for query in queries:
        if query + 1 in tracks.targets(query) and query + 1 in queries:
            following.update(*cycle(tracks, query, query + 1))
    scores = {f"{artefact.name}/cycle/{k}": v for k, v in values(every).items()}
    return scores | {f"{artefact.name}/cycle_next/{k}": v for k, v in values(following).items()}


def cycle(tracks: "PairTracks", query: int, target: int) -> tuple[Any, Any, Any]:
    """Start and return (N, 2) of a query frame's points as tensors, and which are visible both ways (N,)."""
    import torch

    frames = tracks.frames
    start = tracks.query_pixels(query)
    out, way_back = tracks.between(query, target), tracks.between(target, query)
    back = _between_grid_points(way_back, out[:, :2], frames, tracks.form.rate)
    counted = tracks.visible(out) & tracks.visible(back)
    counted &= inside(out[:, :2], frames.height, frames.width)
    return torch.from_numpy(start), torch.from_numpy(back[:, :2]), torch.from_numpy(counted)


def _between_grid_points(
    tracks: Float32Array, at: Float32Array, frames: Frames, rate: int
) -> Float32Array:
    """Tracks (N, 4) of a frame's whole grid read bilinearly at ``at`` (M, 2): (M, 4)."""
    rows, columns = -(-frames.height // rate), -(-frames.width // rate)
    moved = tracks.copy()
    moved[:, :2] -= pixel_grid(frames.height, frames.width, rate).reshape(-1, 2)
    x, y = (at / rate).astype(np.float32).T
    read = sample(moved.reshape(rows, columns, 4), np.stack([x, y], 1))
    read[:, :2] += at
    return read


def _share_within_reach(a: SceneResults, b: SceneResults, stem: str) -> float:
    """Share of a query frame's points, seen in both, that lie at most 4 px apart."""
    x, y = a[PairTracks], b[PairTracks]
    forms = [(t.frames.size, t.form.rate) for t in (x, y)]
    query = a.number(stem)
    if forms[0] != forms[1] or not (x.is_readable and y.is_readable):
        return float("nan")
    shared = sorted(set(x.targets(query)) & set(y.targets(query)))
    if query not in x.queries or query not in y.queries or len(shared) < 2:
        return float("nan")
    near = seen = 0
    for target in evenly(shared, _AGREEMENT_TARGETS):
        one, other = x.between(query, target), y.between(query, target)
        if target == query or one.shape != other.shape:
            continue
        both = x.visible(one) & y.visible(other)
        near += int((np.linalg.norm(one[:, :2] - other[:, :2], axis=1)[both] <= _NEAR).sum())
        seen += int(both.sum())
    return near / seen if seen else float("nan")


class PairTracks(Artefact):
    """``{query}_{target}.npy`` (N, 4), and ``.pth`` where asked: where a query frame's pixels are in a target."""

    name = "tracks"
    title = "Tracks, up to some frames away (hollow: hidden)"
    what = "tracks of all pairs"
    unit = "px"
    places = (Place("tracks", "alltracker"),)
    scorers = (Scorer("tracks", _tap_vid, against_truth=True), Scorer("cycles", _cycles))
    video_title = "Tracks of the middle frame through the clip (hollow: hidden)"
    agreement = Agreement(f"share of tracks within {_NEAR:g} px", _share_within_reach)

    HIDDEN = 0.5  # an occlusion from which on a point counts as hidden

    @cached_property
    def form(self) -> TrackForm:
        """How the tracks were written."""
        return TrackForm.of(self.files.options)

    @property
    def is_readable(self) -> bool:
        """Whether the .npy form was written, which everything here reads."""
        return "npy" in self.form.formats

    @property
    def is_full_grid(self) -> bool:
        """Whether every pixel of the grid was followed, not only those of the mask."""
        return not self.files.options["mask_only"]

    @property
    def queries(self) -> list[int]:
        """Numbers of the query frames."""
        return self.form.pairs.queries(len(self.frames))

    def targets(self, query: int) -> range:
        """Numbers of the frames that a query frame's pixels were followed to, itself included."""
        return self.form.pairs.targets(query, len(self.frames))

    def between(self, query: int, target: int) -> Float32Array:
        """Tracks (N, 4) float32 from frame ``query`` to frame ``target``: x, y, occlusion, confidence."""
        return self.form.decoded(self.written(query, target))

    def written(self, query: int, target: int) -> AnyArray:
        """As ``between``, in the dtype and with the scores that the file has."""
        return self.files.array(f"{self._stem(query, target)}.npy")

    def query_pixels(self, query: int) -> Float32Array:
        """Query pixels (N, 2) of a frame as (x, y)."""
        return self.between(query, query)[:, :2]

    @classmethod
    def visible(cls, tracks: Float32Array) -> BoolArray:
        """Which of the tracks (N, 4) are seen in their target."""
        return tracks[:, OCCLUSION] < cls.HIDDEN

    def _stem(self, query: int, target: int) -> str:
        return pair_name(self.frames, query, target)

    def linked(self) -> dict[Place, list[str]]:
        names = [
            f"{self._stem(query, target)}.{kind}"
            for query in self.queries
            for target in self.targets(query)
            for kind in self.form.formats
        ]
        return {self.places[0]: names}

    @staticmethod
    def write(
        writer: ItemWriter,
        frames: Frames,
        form: TrackForm,
        pair: tuple[int, int],
        tracks: Float32Array,
        network_size: tuple[int, int],
    ) -> None:
        """Store tracks (N, 4) of the pair (query, target); network_size (h, w): the size that was tracked at."""
        name = pair_name(frames, *pair)
        check_values(tracks, f"tracks {name}", (len(tracks), 4), np.float32)
        encoded = form.encoded(tracks)
        if "npy" in form.formats:
            writer.array(f"{name}.npy", encoded)
        if "pth" in form.formats:
            import torch

            buffer = io.BytesIO()
            bundle = {
                "tracks": torch.from_numpy(encoded),
                "query_t": pair[0],
                "target_t": pair[1],
                "rate": form.rate,
                "original_size": [frames.height, frames.width],
                "resized_size": list(network_size),
            }
            torch.save(bundle, buffer)
            writer.data(f"{name}.pth", buffer.getvalue())

    def as_arrays(self) -> dict[tuple[int, int], Float32Array]:
        """Tracks (N, 4) by (query, target)."""
        pairs = ((query, target) for query in self.queries for target in self.targets(query))
        return {pair: self.between(*pair) for pair in pairs}

    def drawable_stems(self) -> list[str]:
        if not self.is_readable:
            return []
        return [self.frames.stems[query] for query in self.queries]

    def picture(self, scene: SceneResults, stem: str) -> UInt8Array:
        """Points of this frame and where they are a few frames on, joined by lines."""
        number = int(stem)
        targets = self.targets(number)
        target = next(t for t in (number + _LATER, number - _LATER, targets[-1]) if t in targets)
        picture = (scene[Images].rgb(self.frames.stems[target]) * 0.6).astype(np.uint8)
        start, rows = self.thinned(number)
        moved = self.between(number, target)[rows]
        colours = start_colours(start[:, :2], self.frames.width, self.frames.height)
        for a, b, colour in zip(start, moved, colours, strict=True):
            if b[OCCLUSION] <= self.HIDDEN:
                start_at, end_at = ((round(float(p[0])), round(float(p[1]))) for p in (a, b))
                paint = tuple(int(c) for c in colour)
                cv2.line(picture, start_at, end_at, paint, 1, cv2.LINE_AA)
        draw_points(picture, moved, colours)
        return picture

    @property
    def middle_query(self) -> int:
        """The number of the query frame whose points are followed in pictures."""
        return self.queries[len(self.queries) // 2]

    def displayable_stems(self) -> list[str]:
        """Stems of the frames to which the middle query frame's points were followed."""
        if not self.is_readable:
            return []
        return [self.frames.stems[target] for target in self.targets(self.middle_query)]

    def displayed(self, scene: SceneResults, stem: str) -> UInt8Array:
        """The middle query frame's points on another frame, coloured by where they start, with their last way."""
        query, target = self.middle_query, scene.number(stem)
        followed = scene.once((PairTracks, "followed"), lambda: self._followed(query))
        picture: UInt8Array = (scene[Images].rgb(stem) * _DIMMED).astype(np.uint8)
        colours = start_colours(followed[query][:, :2], self.frames.width, self.frames.height)
        way = [followed[k] for k in range(target - _TRAIL, target + 1) if k in followed]
        draw_trails(picture, np.stack(way), colours)
        draw_points(picture, followed[target], colours)
        return picture

    def _followed(self, query: int) -> dict[int, Float32Array]:
        """Tracks (M, 4) of a query frame's drawn points, by target."""
        _, rows = self.thinned(query)
        return {target: self.between(query, target)[rows] for target in self.targets(query)}

    def video(self, scene: SceneResults, count: int) -> Iterator[UInt8Array]:
        for stem in evenly(self.displayable_stems(), count):
            yield self.displayed(scene, stem)

    def curves(self, scene: SceneResults) -> list[Curve]:
        """The share of the middle query frame's points that is seen in every frame."""
        if not self.is_readable:
            return []
        query = self.middle_query
        seen: list[float | None] = [None] * len(self.frames)
        for target in self.targets(query):
            visible = self.visible(self.between(query, target))
            seen[target] = float(visible.mean()) if len(visible) else None
        title = f"Points of frame {self.frames.stems[query]} still seen"
        return [Curve(title, "share", {"seen": seen}, share=True)]

    def thinned(self, query: int) -> tuple[Float32Array, AnyArray]:
        """The query pixels that are drawn, as tracks (M, 4), and their rows (M,) in the track files.

        They are a grid of about 32 over the width.
        """
        start = self.between(query, query)
        rate = self.form.rate
        step = max(1, -(-self.frames.width // rate) // _TRACKS_ACROSS)
        cells = np.rint(start[:, :2] / rate).astype(np.int64) % step
        rows = np.flatnonzero((cells == step // 2).all(1))
        return start[rows], rows


def pair_name(frames: Frames, query: int, target: int) -> str:
    """The name of a pair's files: both stems."""
    return f"{frames.stems[query]}_{frames.stems[target]}"
