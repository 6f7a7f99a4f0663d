"""Dense tracks for ordered pairs of frames.

Shapes: N query pixels, (N, 4) columns x, y, occlusion, confidence.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

import numpy as np
from scipy.ndimage import binary_dilation

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.tracks import PairTracks, TrackForm, TrackFormat, own_tracks
from dynprep.options import AtLeastOne, Range
from dynprep.scene.frames import Frames
from dynprep.stages.base import FrameStage
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")


@dataclass(frozen=True)
class QueryTracks:
    """Tracks of one query frame.

    query: the frame's number; network_size (h, w): the size that was tracked at; targets: for each target's
    number tracks (N, 4) float32, given one by one so that memory falls as files are written.
    """

    query: int
    network_size: tuple[int, int]
    targets: Iterable[tuple[int, Float32Array]]


@dataclass
class Tracking(FrameStage[Sample, QueryTracks]):
    """A backend's ``compute`` gives QueryTracks; the item is the query frame."""

    rate: AtLeastOne
    formats: list[TrackFormat] = field(kw_only=True)
    pairs: str = field(kw_only=True)
    mask_only: bool = field(kw_only=True)
    mask_margin: Annotated[int, Range(0, 4096)] = field(kw_only=True)
    dtype: Literal["float32", "float16"] = field(kw_only=True)
    scores: Literal["probability", "logit"] = field(kw_only=True)

    makes = PairTracks
    kind_version = 3

    def __post_init__(self) -> None:
        if not self.formats:
            raise ValueError("formats is empty; give npy, pth or both")
        self.form()

    def form(self) -> TrackForm:
        """How tracks are written, and which pairs. Raises ValueError for pairs of another form."""
        return TrackForm.of(vars(self))

    def ignored(self) -> dict[str, str]:
        return {} if self.mask_only else {"mask_margin": "mask_only is false"}

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, *((ObjectMasks,) if self.mask_only else ()))

    def items(self, frames: Frames) -> list[str]:
        """The stems of the query frames."""
        return [frames.stems[q] for q in self.form().pairs.queries(len(frames))]

    def targets(self, query: int, frames: Frames) -> range:
        """Numbers of the frames that are wanted from a query frame."""
        return self.form().pairs.targets(query, len(frames))

    def query_pixels(self, scene: Scene, query: int) -> Float32Array:
        """Query pixels (N, 2) of a frame as (x, y), whole pixels of ``images/``, row-major.

        They are a grid of stride ``rate``; with ``mask_only`` those of it that lie inside the object mask or
        within ``mask_margin`` pixels of it.
        """
        points = self.form().grid(scene.frames)
        if not self.mask_only:
            return points
        mask = scene[ObjectMasks].of(scene.frames.stems[query])
        if self.mask_margin:
            mask = binary_dilation(mask, iterations=self.mask_margin)
        x, y = points.astype(np.int64).T
        return points[mask[y, x]]

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: QueryTracks) -> None:
        frames, query, form = scene.frames, output.query, self.form()
        wanted = set(self.targets(query, frames))
        own = own_tracks(self.query_pixels(scene, query))
        for target, tracks in output.targets:
            if target in wanted:
                exact = own if target == query else tracks
                PairTracks.write(writer, frames, form, (query, target), exact, output.network_size)

    def disk_bytes(self, frames: Frames) -> int:
        return self.form().bytes(frames)
