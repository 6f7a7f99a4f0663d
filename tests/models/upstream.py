"""Numbers of an upstream network, and the made-up weights that it had."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynprep.weights.tensors import fit
from tests.fixtures import seeded

_FIXTURES = Path(seeded.__file__).parent
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Upstream:
    """``name``: of a folder of fixtures: reference.json says what was run, reference.npz what came out, keys.json what
    the published checkpoints hold."""

    def __init__(self, name: str) -> None:
        folder = _FIXTURES / name
        self.about = json.loads((folder / "reference.json").read_text())
        self.keys = json.loads((folder / "keys.json").read_text())
        self.numbers = np.load(folder / "reference.npz", allow_pickle=False)

    def tensors(self, variant: str, constants: dict[str, float] | None = None) -> dict[str, Tensor]:
        """The checkpoint of a variant."""
        return seeded.weights(self.keys[variant], constants)

    def load(self, network: nn.Module, tensors: dict[str, Tensor], unused: tuple[str, ...]) -> Any:
        """The network with a checkpoint's tensors, ready to predict; nothing in them may be unknown."""
        assert fit(network, tensors, unused, "here") == ()
        return network.eval()

    def shapes_of(self, network: nn.Module) -> dict[str, list[int]]:
        """Names and shapes of a network's tensors."""
        return {name: list(value.shape) for name, value in network.state_dict().items()}


def normalised(pictures: list[np.ndarray]) -> Tensor:
    """Pictures (B, H, W, 3) uint8 as networks take them (B, 3, H, W)."""
    unit = np.stack(pictures).transpose(0, 3, 1, 2) / 255
    mean, deviation = (np.array(v)[:, None, None] for v in (_MEAN, _DEVIATION))
    return torch.from_numpy(((unit - mean) / deviation).astype(np.float32))


def off(ours: np.ndarray, theirs: np.ndarray, floor: float = 0.1) -> tuple[float, float]:
    """Largest and median difference of two arrays in shares of theirs; of values below ``floor`` of the largest, in
    shares of that."""
    scale = np.maximum(np.abs(theirs), floor * np.abs(theirs).max())
    difference = np.abs(ours - theirs) / scale
    return float(difference.max()), float(np.median(difference))
