"""Where work runs: devices, processes, precision."""

import shutil
from dataclasses import dataclass
from typing import Any, Literal

from dynprep.cores import cores
from dynprep.errors import UserError
from dynprep.models.inference import InferenceOptions, Precision
from dynprep.options import AtLeastOne, NotNegative

Accelerator = Literal["auto", "cpu", "gpu", "mps"]

_FEWEST_HELPERS, _MOST_HELPERS = 2, 8
_SAFE = ("auto", "ddp_spawn", "ddp_fork")


@dataclass
class TrainerOptions:
    """The group ``trainer``, handed to a Lightning Trainer for each stage.

    readers, writers: processes that read ahead and threads that write behind, for each device.
    """

    accelerator: Accelerator
    devices: AtLeastOne | Literal["auto"]
    strategy: str
    precision: Precision
    channels_last: bool
    compile: bool
    gpu_batch: AtLeastOne
    readers: NotNegative | Literal["auto"]
    writers: AtLeastOne | Literal["auto"]
    one_gpu_a_job: bool
    deterministic: bool

    def __post_init__(self) -> None:
        if self.strategy not in _SAFE:
            raise ValueError(
                f"strategy={self.strategy} is refused: it starts the whole program again in each "
                "process, which under Hydra writes other folders and in a multirun loses results; "
                f"use one of {', '.join(_SAFE)}"
            )
        if self.strategy == "ddp_fork" and self.accelerator == "gpu":
            raise ValueError(
                "strategy=ddp_fork cannot be used on GPUs (CUDA does not survive a fork); use "
                "ddp_spawn"
            )

    def inference(self) -> InferenceOptions:
        """How networks are run."""
        return InferenceOptions(self.precision, self.channels_last, self.compile)

    def readers_and_writers(self, devices: int) -> tuple[int, int]:
        """Reader processes and writer threads of each of ``devices``."""
        usual = min(_MOST_HELPERS, max(_FEWEST_HELPERS, cores() // (2 * devices)))
        readers = usual if self.readers == "auto" else self.readers
        return readers, usual if self.writers == "auto" else self.writers

    def check(self) -> None:
        """Raise UserError if the accelerator asked for, or a compiler, is not here."""
        if self.compile and not any(map(shutil.which, ("g++", "clang++", "c++"))):
            raise UserError(
                "trainer.compile=true: needs a C++ compiler (g++); install one, or set trainer.compile=false"
            )
        if self.accelerator not in ("gpu", "mps"):
            return
        import torch

        is_available = torch.cuda.is_available()
        if self.accelerator == "mps":
            is_available = torch.backends.mps.is_available()
        if not is_available:
            raise UserError(
                f"trainer.accelerator={self.accelerator}: there is none here that PyTorch can use; "
                "choose trainer=auto or trainer=cpu"
            )

    def resolve(self, items: int, uses_device: bool) -> dict[str, Any]:
        """accelerator, devices and strategy for a Trainer that has ``items`` to do; work without a
        network stays in one process on the CPU unless processes on the CPU are asked for."""
        import torch

        kind: str = self.accelerator
        if kind == "auto":
            kind = "gpu" if torch.cuda.is_available() else "cpu"
            if kind == "cpu" and torch.backends.mps.is_available():
                kind = "mps"
        if kind != "cpu" and not uses_device:
            return {"accelerator": "cpu", "devices": 1, "strategy": "auto"}
        count = self.devices
        if count == "auto":
            count = torch.cuda.device_count() if kind == "gpu" else 1
        count = max(1, min(count, items))  # a rank without items would stop the others
        strategy = self.strategy
        if count == 1:
            strategy = "auto"
        elif strategy == "auto":
            strategy = "ddp_spawn" if kind == "gpu" else "ddp_fork"
        return {"accelerator": kind, "devices": count, "strategy": strategy}


def one_thread_an_image() -> None:
    """Work is parallel over images; OpenCV's own threads would not survive the forks of readers,
    so this must be called before OpenCV first computes."""
    import cv2

    cv2.setNumThreads(1)
