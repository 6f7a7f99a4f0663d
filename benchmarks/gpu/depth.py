"""Depth networks through dynprep's own stages: how busy the network is."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import depth as plain
from benchmarks.gpu.row import Row
from benchmarks.gpu.sizes import Sizes

_BUSY = 0.9  # share of the time


def depth(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Frames a second against the plain loop, and the share of the time in which the network computes."""
    height, width = sizes.image
    arguments = plain.arguments_from(["--frames", str(sizes.images), "--size", f"{height}x{width}"])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plain.pictures(root / "frames", sizes.images, height, width)
        for backend in sizes.backends:
            one = plain.measure(backend, arguments, root)
            value = f"{one.plain:.1f} plain, {one.engine:.1f} frames/s, network busy {one.busy:.0%}"
            yield Row(backend, value, one.busy >= _BUSY if device.type == "cuda" else None)
