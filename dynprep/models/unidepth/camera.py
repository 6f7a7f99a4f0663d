"""The camera head: four class tokens become fx, fy, cx, cy.

Shapes: B images, C channels, (H, W) pixels of the network's input.
"""

import torch
from torch import Tensor, nn

from dynprep.arrays import check_shapes
from dynprep.models.unidepth.blocks import AttentionBlock, Perceptron

_USUAL_FOCAL = 0.7  # of the diagonal: what a raw output of 0 means


class CameraHead(nn.Module):
    """Raw camera parameters of an image, which ``pinhole`` makes intrinsics of."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.latents_pos = nn.Parameter(torch.zeros(1, 4, channels))
        self.project = Perceptron(channels, channels, channels)
        self.aggregate1 = AttentionBlock(channels, heads, scaled=True)
        self.aggregate2 = AttentionBlock(channels, heads, scaled=True)
        self.out_pinhole = Perceptron(channels, channels, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, 4, C), from shallow to deep layers -> (B, 4) raw fx, fy, cx, cy."""
        x = self.project(tokens)
        x = self.aggregate1(x, x, self.latents_pos)
        x = self.aggregate2(x, x, self.latents_pos)
        return self.out_pinhole(x)[..., 0]


def pinhole(raw: Tensor, size: tuple[int, int]) -> Tensor:
    """Return intrinsics (B, 3, 3) in pixels of the network's input from raw parameters (B, 4).

    size: (H, W). A raw focal length is the logarithm of a multiple of 0.7 times the diagonal; a raw
    principal point is the logit of its place in the image, 0 for the middle. Raises ValueError for other
    shapes.
    """
    check_shapes(raw=(raw, "B 4"))
    height, width = size
    diagonal = (height**2 + width**2) ** 0.5
    focal = raw[:, :2].exp() * (_USUAL_FOCAL * diagonal)
    centre = raw[:, 2:].sigmoid() * raw.new_tensor([width, height])
    k = torch.zeros(len(raw), 3, 3, dtype=raw.dtype, device=raw.device)
    k[:, 0, 0], k[:, 1, 1] = focal.unbind(1)
    k[:, 0, 2], k[:, 1, 2] = centre.unbind(1)
    k[:, 2, 2] = 1
    return k
