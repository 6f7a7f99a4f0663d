"""Poses and intrinsics from Depth Anything 3's camera tokens, keys as published.

Shapes: V views.
"""

import torch
from torch import Tensor, nn

_SMALLEST = 1e-6  # of the tangent of half a field of view


class CameraDecoder(nn.Module):
    """Two layers, then where a camera stands, how it is turned, and its fields of view."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels), nn.ReLU()
        )
        self.fc_t = nn.Linear(channels, 3)
        self.fc_qvec = nn.Linear(channels, 4)
        self.fc_fov = nn.Sequential(nn.Linear(channels, 2), nn.ReLU())

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Camera to world (V, 4, 4), OpenCV axes, and focal lengths (V, 2) along x and y in pixels.

        tokens (V, C); size: (H, W) of the image in pixels.
        """
        x = self.backbone(tokens)
        pose = torch.eye(4, device=x.device).repeat(len(x), 1, 1)
        pose[:, :3, :3] = rotation(self.fc_qvec(x).float())
        pose[:, :3, 3] = self.fc_t(x).float()
        view = self.fc_fov(x).float().flip(-1)  # the network gives the vertical one first
        half = torch.tensor([size[1], size[0]], device=x.device) / 2
        return pose, half / (view / 2).tan().clamp(min=_SMALLEST)


def rotation(quaternions: Tensor) -> Tensor:
    """Rotations (V, 3, 3) of quaternions (V, 4) of any length, the real part last."""
    unit = quaternions / quaternions.norm(dim=-1, keepdim=True)
    i, j, k, r = unit.unbind(-1)
    rows = [
        [1 - 2 * (j * j + k * k), 2 * (i * j - k * r), 2 * (i * k + j * r)],
        [2 * (i * j + k * r), 1 - 2 * (i * i + k * k), 2 * (j * k - i * r)],
        [2 * (i * k - j * r), 2 * (j * k + i * r), 1 - 2 * (i * i + j * j)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)
