"""Marigold's pipeline from ``diffusers``, whose images stay in float32 when its UNet does not."""

import torch
from diffusers import MarigoldDepthPipeline


class Float32Marigold(MarigoldDepthPipeline):  # type: ignore[misc]
    """The published pipeline; ``dtype``, which it prepares images in, is float32 whatever a part's format.

    The library's own is that of whichever part comes first.
    """

    @property
    def dtype(self) -> torch.dtype:
        """The number format of images and latents outside of the UNet."""
        return torch.float32
