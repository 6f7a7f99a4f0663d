"""A device whose memory runs out: smaller batches, the same items, and the user is told."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from dynprep.artefacts import Artefact, Scene
from dynprep.errors import UserError
from dynprep.models.inference import InferenceOptions
from dynprep.pipeline.predict import StageModule
from dynprep.scene.frames import Frames
from dynprep.scene.resolution import Resolution
from dynprep.stages.base import FrameStage
from dynprep.stages.context import StageContext
from dynprep.store import ItemWriter


class Doubled(Artefact, is_abstract=True):
    """What is made: of no interest here, so it is not registered."""

    name = "greedy"


@dataclass(kw_only=True)
class Greedy(FrameStage[int, int]):
    """Runs out of memory above ``room`` samples at once."""

    room: int
    makes = Doubled
    kind_version = 1
    backend_id = "greedy"

    def reads(self) -> tuple[type[Artefact], ...]:
        return ()

    def load(self, scene: Scene, item: str) -> int:
        return int(item)

    def compute(self, samples: Sequence[int]) -> list[int]:
        if len(samples) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * s for s in samples]

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: int) -> None:
        writer.array(item, np.array(output))

    def disk_bytes(self, frames: Frames) -> int:
        return 0


def context() -> StageContext:
    resolution = Resolution(None, 1, False, 1, 1, 1, 1)
    return StageContext(resolution, InferenceOptions("32-true", False, False), False)


def test_halved_until_it_fits_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    module = StageModule(Greedy(context=context(), room=3), [])
    batch = [(k, k) for k in range(16)]
    assert module.predict_step(batch, 0) == [(k, 2 * k) for k in range(16)]
    told = capsys.readouterr().err
    assert told.count("do not fit") == 3 and "going on with 2" in told
    module.predict_step(batch, 1)
    assert capsys.readouterr().err == ""


def test_one_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(UserError, match="one frame does not fit"):
        StageModule(Greedy(context=context(), room=0), []).predict_step([(0, 0), (1, 1)], 0)
