"""Marigold's pipelines from ``diffusers``, whose images stay in float32 when their UNet does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import MarigoldDepthPipeline, MarigoldNormalsPipeline
from torch import Tensor


class Float32Marigold(MarigoldDepthPipeline):  # type: ignore[misc]
    """The published pipeline; ``dtype``, which it prepares images in, is float32 whatever a part's format.

    The library's own is that of whichever part comes first.
    """

    @property
    def dtype(self) -> torch.dtype:
        """The number format of images and latents outside of the UNet."""
        return torch.float32

    @staticmethod
    def ensemble_depth(depth: Tensor, *settings: Any, **named: Any) -> tuple[Tensor, Tensor | None]:
        """Merge the members (B, 1, H, W) of an ensemble: depth (1, 1, H, W) in [0, 1], and its uncertainty."""
        # PyTorch refuses ``median`` on CUDA where determinism is asked for, because of the positions that it
        # also gives; only its values are used here, and these are the same every time
        with _any_algorithm():
            merged: tuple[Tensor, Tensor | None] = MarigoldDepthPipeline.ensemble_depth(
                depth, *settings, **named
            )
        return merged


class Float32MarigoldNormals(MarigoldNormalsPipeline):  # type: ignore[misc]
    """The published pipeline of normals, whose ``dtype`` is float32 for the same reason."""

    @property
    def dtype(self) -> torch.dtype:
        """The number format of images and latents outside of the UNet."""
        return torch.float32


@contextmanager
def _any_algorithm() -> Iterator[None]:
    """Lift PyTorch's ban of operations that have no deterministic algorithm, inside the block."""
    is_strict = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(is_strict, warn_only=only_warns)
