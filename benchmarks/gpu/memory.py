"""A device whose memory really runs out: smaller batches, the same numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from benchmarks.gpu.row import Row
from benchmarks.gpu.sizes import Sizes
from dynprep.artefacts import Artefact, Scene
from dynprep.models.inference import InferenceOptions
from dynprep.pipeline.predict import StageModule
from dynprep.scene.frames import Frames
from dynprep.scene.resolution import Resolution
from dynprep.stages.base import FrameStage
from dynprep.stages.context import StageContext
from dynprep.store import ItemWriter

_ROOM = 3  # samples that fit


class _Nothing(Artefact, is_abstract=True):
    name = "large"


@dataclass(kw_only=True)
class _Large(FrameStage[int, int]):
    """Takes ``fill`` bytes of the device for each sample."""

    fill: int
    device: torch.device
    makes = _Nothing
    kind_version = 1
    backend_id = "large"

    def reads(self) -> tuple[type[Artefact], ...]:
        return ()

    def load(self, scene: Scene, item: str) -> int:
        return int(item)

    def compute(self, samples: Sequence[int]) -> list[int]:
        if self.device.type != "cuda" and len(samples) > _ROOM:
            raise torch.OutOfMemoryError("as a GPU would say")
        held = [
            torch.zeros(self.fill, dtype=torch.uint8, device=self.device) + s % 251 for s in samples
        ]
        return [int(block[-1]) for block in held]

    def write(self, writer: ItemWriter, scene: Scene, item: str, output: int) -> None:
        raise NotImplementedError

    def disk_bytes(self, frames: Frames) -> int:
        return 0


def memory(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Fills the device but for some samples, and asks for sixteen at once."""
    fill = sizes.fill
    taken = None
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # a sample takes its block and, for a moment, the sum
        left = (_ROOM + 1) * fill
        taken = torch.empty(max(free - left, 1), dtype=torch.uint8, device=device)
    resolution = Resolution(None, 1, False, 1, 1, 1, False, 1)
    context = StageContext(resolution, InferenceOptions("32-true", False, False), False)
    module = StageModule(_Large(context=context, fill=fill, device=device), [])
    outputs = module.predict_step([(k, k) for k in range(16)], 0)
    del taken
    right = outputs == [(k, k % 251) for k in range(16)]
    yield Row(
        "out of memory",
        f"16 at once became {module.most_at_once}",
        right and bool(module.most_at_once),
    )
