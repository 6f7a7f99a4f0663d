"""A device whose memory runs out: smaller batches, the same items, and the user is told."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from dynprep.stages.inputs import Frames, Inputs

from dynprep.errors import UserError
from dynprep.pipeline.predict import StageModule
from dynprep.stages.base import Stage
from dynprep.store import ItemWriter


@dataclass
class Greedy(Stage[int, int]):
    """Runs out of memory above ``room`` samples at once."""

    room: int
    name = "greedy"
    version = 1

    def needs(self) -> tuple[str, ...]:
        return ()

    def load(self, inputs: Inputs, item: str) -> int:
        return int(item)

    def compute(self, samples: Sequence[int]) -> list[int]:
        if len(samples) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * s for s in samples]

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: int) -> None:
        writer.array(item, np.array(output))

    def disk_bytes(self, frames: Frames) -> int:
        return 0


def test_halved_until_it_fits_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    module = StageModule(Greedy(room=3))
    batch = [(k, k) for k in range(16)]
    assert module.predict_step(batch, 0) == [(k, 2 * k) for k in range(16)]
    told = capsys.readouterr().err
    assert told.count("do not fit") == 3 and "going on with 2" in told
    module.predict_step(batch, 1)
    assert capsys.readouterr().err == ""


def test_one_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(UserError, match="one frame does not fit"):
        StageModule(Greedy(room=0)).predict_step([(0, 0), (1, 1)], 0)
