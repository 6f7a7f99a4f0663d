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

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory")


class Doubled(Artefact, is_abstract=True):
    """What is made: of no interest here, so it is not registered."""

    name = "greedy"


@dataclass(kw_only=True)
class Greedy(FrameStage[int, int]):
    """Runs out of memory above ``room`` samples at once."""

    room: int
    error: RuntimeError = OUT_OF_MEMORY
    makes = Doubled
    kind_version = 1
    backend_id = "greedy"

    def reads(self) -> tuple[type[Artefact], ...]:
        return ()

    def load(self, scene: Scene, item: str) -> int:
        return int(item)

    def compute(self, samples: Sequence[int]) -> list[int]:
        if len(samples) > self.room:
            raise self.error
        return [2 * s for s in samples]

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: int) -> None:
        writer.array(item, np.array(output))

    def disk_bytes(self, frames: Frames) -> int:
        return 0


def context() -> StageContext:
    resolution = Resolution(None, 1, False, 1, 1, 1, False, 1)
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


REFUSALS = [
    "CUDA error: invalid configuration argument\nCompile with `TORCH_USE_CUDA_DSA`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "GET was unable to find an engine to execute this computation",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
]


@pytest.mark.parametrize("words", REFUSALS)
def test_what_a_library_refuses_is_taken_as_memory_and_then_said(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = [(k, k) for k in range(4)]
    fits = StageModule(Greedy(context=context(), room=2, error=RuntimeError(words)), [])
    assert fits.predict_step(batch, 0) == [(k, 2 * k) for k in range(4)]
    assert "going on with 2" in capsys.readouterr().err
    never = StageModule(Greedy(context=context(), room=0, error=RuntimeError(words)), [])
    with pytest.raises(UserError, match="the device refuses 1 at once") as said:
        never.predict_step(batch, 0)
    assert words.splitlines()[0] in str(said.value)


def test_another_error_of_the_device_is_no_want_of_memory() -> None:
    error = RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(RuntimeError, match="illegal"):
        StageModule(Greedy(context=context(), room=0, error=error), []).predict_step([(0, 0)], 0)
