"""AllTracker's attention over time with more sequences than CUDA's kernels launch at once."""

import time
from collections.abc import Iterator

import torch
from torch.nn import functional as F

from benchmarks.gpu.row import Row
from benchmarks.gpu.sizes import Sizes
from benchmarks.tracks import sync
from dynprep.models.alltracker.update import UpdateBlock

_SLOTS, _WIDTH, _HEADS = 16, 128, 8


@torch.inference_mode()
def attention(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Whether a window's attention runs, and what one call over all sequences does."""
    passes, rows, columns = sizes.attention
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    block = UpdateBlock().refine[0].eval().to(device, dtype)
    x = torch.randn(passes * _SLOTS, _WIDTH, rows, columns, device=device, dtype=dtype)
    sequences = passes * rows * columns
    block(x, _SLOTS)
    sync(device)
    began = time.perf_counter()
    block(x, _SLOTS)
    sync(device)
    seconds = time.perf_counter() - began
    yield Row(f"attention over time, {sequences:,} sequences", f"{seconds * 1e3:.1f} ms", True)
    shape = (sequences, _HEADS, _SLOTS, _WIDTH // _HEADS)
    q = torch.randn(shape, device=device, dtype=dtype)
    try:
        F.scaled_dot_product_attention(q, q, q)
        sync(device)
        said = "runs on this build"
    except RuntimeError as error:
        said = str(error).splitlines()[0][:40]
    yield Row("  the same in one call", said)
