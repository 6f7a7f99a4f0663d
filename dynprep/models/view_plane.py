"""Where the pixels of a map lie in the image plane, as networks are told it (Wang et al. 2025, MoGe)."""

import torch
from torch import Tensor


def view_plane(
    height: int,
    width: int,
    aspect: float | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Where pixels lie (H, W, 2) as x and y, in units of half the image's diagonal, from its centre.

    aspect: width / height of the image, where pixels are not square.
    """
    ratio = width / height if aspect is None else aspect
    diagonal = (1 + ratio**2) ** 0.5
    spans = ratio / diagonal * (width - 1) / width, (height - 1) / height / diagonal
    x = torch.linspace(-spans[0], spans[0], width, device=device)
    y = torch.linspace(-spans[1], spans[1], height, device=device)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
