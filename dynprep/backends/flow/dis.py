"""All pairs from classical optical flow, chained over several distances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.motion import OpticalFlow
from dynprep.artefacts.tracks import own_tracks
from dynprep.options import NotNegativeFloat, Positive
from dynprep.stages.base import parallel
from dynprep.stages.tracks import QueryTracks, Tracking
from dynprep.vision.chain import Limits, PointPositions, follow

QueryFrame = tuple[Scene, str]  # a scene and the stem of its query frame


@dataclass
class DisFlow(Tracking[QueryFrame]):
    """Tracks of a query frame's grid through the clip by the stage ``optical_flow``."""

    cycle_error: Positive
    cycle_slack: NotNegativeFloat
    step_error: Positive
    half_confidence: Positive

    backend_id = "dis"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (*super().reads(), OpticalFlow)

    def load(self, scene: Scene, item: str) -> QueryFrame:
        return scene, item

    def compute(self, samples: Sequence[QueryFrame]) -> list[QueryTracks]:
        return parallel(self._query_tracks, samples)

    def _query_tracks(self, sample: QueryFrame) -> QueryTracks:
        scene, item = sample
        query, count = scene.number(item), len(scene.frames)
        # a reader of its own, since its window of open files is not made for several threads
        optical_flow = OpticalFlow(scene.results[OpticalFlow.name], scene.frames)
        points = self.query_pixels(scene, query)
        limits = Limits(self.cycle_error, self.cycle_slack, self.step_error)
        wanted = self.targets(query, scene.frames)
        step, offsets = optical_flow.there_and_back, optical_flow.offsets
        steps = follow(query, count, points, offsets, step, limits, wanted)
        targets = [(target, self._as_tracks(place)) for target, place in steps if target in wanted]
        return QueryTracks(query, scene.frames.size, [(query, own_tracks(points)), *targets])

    def _as_tracks(self, place: PointPositions) -> Float32Array:
        """Tracks (N, 4) of points in one frame; confidence is a half at ``half_confidence`` px of error."""
        confidence = np.asarray(1 / (1 + place.error / self.half_confidence**2), np.float32)
        columns = [place.xy[:, 0], place.xy[:, 1], place.hidden, confidence]
        return np.stack(columns, 1).astype(np.float32)
