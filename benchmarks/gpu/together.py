"""Two processes on one GPU give what one gives."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import torch

from benchmarks import tracks
from benchmarks.gpu.row import Row
from benchmarks.gpu.sizes import Sizes
from benchmarks.random_weights import alltracker
from dynprep.models.inference import InferenceOptions

_WORKER = "import sys; from benchmarks.gpu.together import digest; print(digest(sys.argv[1]))"
_LONGEST = 240  # seconds


def digest(kind: str) -> str:
    """A hash of the tracks of a small clip, to a hundredth of a pixel."""
    device = torch.device(kind)
    running = InferenceOptions("32-true", False, False)
    network = alltracker("tiny")
    running.prepare(network, device)
    found = tracks.engine(network, running, tracks.video(4, 64, 96).to(device), 2)
    rounded = torch.cat([found[pair][:, :2] for pair in sorted(found)]).mul(10).round()
    return hashlib.sha256(rounded.numpy().tobytes()).hexdigest()


def together(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Starts both at once."""
    alone = digest(device.type)
    command = [sys.executable, "-c", _WORKER, device.type]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=_LONGEST)[0].strip() for process in both]
    same = all(process.returncode == 0 for process in both) and said == [alone, alone]
    yield Row("two processes on one device", "the same tracks" if same else "they differ", same)
