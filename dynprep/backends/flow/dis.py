"""All pairs from classical optical flow, chained over several distances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dynprep.stages.flow import Array, Flow, Tracks, identity
from dynprep.stages.frame_flow import FlowFields
from dynprep.stages.inputs import Inputs
from dynprep.vision.chain import Limits, follow

Sample = tuple[Inputs, str]


@dataclass
class DisFlow(Flow[Sample]):
    """Tracks of a query frame's grid through the clip by the stage ``frame_flow``."""

    cycle_error: float
    cycle_slack: float
    step_error: float
    half_confidence: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cycle_error", "step_error", "half_confidence"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0 pixels")

    def needs(self) -> tuple[str, ...]:
        return (*super().needs(), "frame_flow")

    def load(self, inputs: Inputs, item: str) -> Sample:
        return inputs, item

    def compute(self, samples: Sequence[Sample]) -> list[Tracks]:
        out = []
        for inputs, item in samples:
            query = inputs.number(item)
            size = (inputs.frames.height, inputs.frames.width)
            out.append(Tracks(query, size, self._targets(inputs, query)))
        return out

    def _targets(self, inputs: Inputs, query: int) -> Iterator[tuple[int, Array]]:
        frames = inputs.frames
        fields = FlowFields(inputs["frame_flow"], frames)
        points = self.points(inputs, query)
        limits = Limits(self.cycle_error, self.cycle_slack, self.step_error)
        yield query, identity(points)
        ways = follow(query, len(frames), points, fields.offsets, fields.there_and_back, limits)
        for target, place in ways:
            # confidence halves where the accumulated error reaches half_confidence pixels
            confidence = np.asarray(1 / (1 + place.error / self.half_confidence**2), np.float32)
            columns: list[Array] = [place.xy[:, 0], place.xy[:, 1], place.hidden, confidence]
            yield target, np.stack(columns, 1).astype(np.float32)
