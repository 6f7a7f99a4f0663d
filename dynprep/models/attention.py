"""Attention of many short sequences."""

import torch
from torch import Tensor
from torch.nn import functional as F

# CUDA's attention kernels put the batch on an axis of their grid that has no more places
# (https://github.com/pytorch/pytorch/issues/146704)
MOST_SEQUENCES = 65_535


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention of any number of sequences (sequences, heads, tokens, channels)."""
    if len(q) <= MOST_SEQUENCES:
        return F.scaled_dot_product_attention(q, k, v)
    parts = zip(*(part.split(MOST_SEQUENCES) for part in (q, k, v)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])
