"""Rays of a pinhole camera, and the sine features that condition depth on them."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_NARROWEST = 1e-3  # of |x| where an azimuth is taken
_ROUNDING = 1e-6  # an |x| below it is zero with noise, whose sign means nothing


def unit_rays(intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Unit rays (B, 3, H, W) of K (B, 3, 3); pixel centres at whole numbers + 0.5."""
    height, width = size
    k = intrinsics
    u = torch.arange(width, dtype=k.dtype, device=k.device) + 0.5
    v = torch.arange(height, dtype=k.dtype, device=k.device) + 0.5
    x = (u[None] - k[:, 0, 2, None]) / k[:, 0, 0, None]  # (B, W)
    y = (v[None] - k[:, 1, 2, None]) / k[:, 1, 1, None]  # (B, H)
    x = x[:, None, :].expand(-1, height, -1)
    y = y[:, :, None].expand(-1, -1, width)
    return F.normalize(torch.stack([x, y, torch.ones_like(x)], 1), dim=1)


def ray_features(rays: Tensor, grid: tuple[int, int], channels: int) -> Tensor:
    """Sines of the polar and azimuth angle of every patch: (B, h * w, channels).

    rays (B, 3, H, W) at the network's resolution; grid (h, w): patches. Half of the channels are
    polar, half azimuth, frequencies 1 … max(h, w) // 2 in equal steps of their logarithm.
    """
    small = F.interpolate(rays, grid, mode="bilinear", align_corners=False, antialias=True)
    x, y, z = F.normalize(small, dim=1).flatten(2).unbind(1)  # (B, h * w) each
    polar = torch.acos(z.clamp(-1, 1))
    wide = x.abs().clamp(min=_NARROWEST)
    azimuth = torch.atan2(y, torch.where(x < -_ROUNDING, -wide, wide))
    top = math.log2(max(grid) // 2)
    steps = torch.linspace(0, top, channels // 2, dtype=rays.dtype, device=rays.device)
    angles = torch.stack([polar, azimuth], -1)[..., None] * (torch.pi * 2**steps)
    return torch.sin(angles).flatten(2)
