"""Rays of a pinhole camera, and the sine features that condition depth on them.

Shapes: B images, (H, W) pixels of the network's input, (h, w) patches of 14 x 14 pixels.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dynprep.arrays import check_shapes

_NARROWEST = 1e-3  # of |x| where an azimuth is taken
_ROUNDING = 1e-6  # an |x| below it is zero with noise, whose sign means nothing


def unit_rays(intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Return unit rays (B, 3, H, W) from the camera through every pixel: x right, y down, z ahead.

    intrinsics (B, 3, 3) in pixels, pixel centres at whole numbers + 0.5; size: (H, W). Raises ValueError
    for other shapes.
    """
    check_shapes(intrinsics=(intrinsics, "B 3 3"))
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
    """Return sines of the polar and azimuth angle of every patch's ray: (B, h * w, channels).

    rays (B, 3, H, W): unit rays at the network's resolution; grid: (h, w) in patches. The polar angle is
    from the optical axis, the azimuth around it. The first half of the channels is of the polar angle, the
    second of the azimuth: sin(π f angle) at frequencies f of 1 … max(h, w) // 2 in equal steps of their
    logarithm. Raises ValueError for other shapes.
    """
    check_shapes(rays=(rays, "B 3 H W"))
    small = F.interpolate(rays, grid, mode="bilinear", align_corners=False, antialias=True)
    x, y, z = F.normalize(small, dim=1).flatten(2).unbind(1)  # (B, h * w) each
    polar = torch.acos(z.clamp(-1, 1))
    # the azimuth jumps where x changes its sign, so an x near 0 gets a definite one: above, if it is noise
    wide = x.abs().clamp(min=_NARROWEST)
    azimuth = torch.atan2(y, torch.where(x < -_ROUNDING, -wide, wide))
    top = math.log2(max(grid) // 2)
    steps = torch.linspace(0, top, channels // 2, dtype=rays.dtype, device=rays.device)
    angles = torch.stack([polar, azimuth], -1)[..., None] * (torch.pi * 2**steps)
    return torch.sin(angles).flatten(2)
