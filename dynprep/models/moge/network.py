"""MoGe-2: points, normals and a mask of one image, up to the depth of the camera's centre (Wang et al. 2025).

Shapes: B images, (H, W) pixels of an image, (h, w) patches of 14 x 14 pixels that the encoder sees.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.arrays import check_shapes
from dynprep.models.dinov2 import PATCH, POSITION_OFFSET, DinoV2
from dynprep.models.imagenet import DEVIATION, MEAN
from dynprep.models.moge.config import ENCODERS, Config, Remap
from dynprep.models.moge.stack import Stack
from dynprep.models.view_plane import view_plane

# keys of published checkpoints that reach no output, or are the constants below
UNUSED = ("encoder.backbone.mask_token", "encoder.image_mean", "encoder.image_std")


@dataclass(frozen=True)
class RawGeometry:
    """What the network gives, float32.

    points (B, H, W, 3): x right, y down, z forward, of any scale and shifted along z by an unknown amount; normals
    (B, H, W, 3): of length 1, in the same axes; finite (B, H, W): probability, 0..1, that a pixel has a finite depth;
    metres (B,): length of a unit of ``points``. What the network has no head for is None.
    """

    points: Tensor
    normals: Tensor | None
    finite: Tensor | None
    metres: Tensor | None


class _Encoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        size = ENCODERS[config.encoder]
        self.backbone = DinoV2(
            size.channels, size.blocks, config.taps, final_eps=1e-6, offset=POSITION_OFFSET
        )
        self.output_projections = nn.ModuleList(
            nn.Conv2d(size.channels, config.projected, 1) for _ in config.taps
        )

    def forward(self, image: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) and the class token (B, C') of an image (B, 3, 14 h, 14 w)."""
        taps = self.backbone(image)
        features = [
            project(tokens.transpose(1, 2).unflatten(2, grid))
            for project, (tokens, _) in zip(self.output_projections, taps, strict=True)
        ]
        return torch.stack(features).sum(0), taps[-1][1]


class _Widths(nn.Sequential):
    """Linear layers of these widths, with a ReLU between them."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(*layers[:-1])


class MoGe2(nn.Module):
    """The inference network, with the parameter names of the published checkpoints."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = _Encoder(config)
        self.neck = Stack(config.neck)
        for name, head in config.heads.items():
            setattr(self, name, Stack(head))
        if config.scale is not None:
            self.scale_head = _Widths(config.scale)

    def tokens(self, level: float) -> int:
        """How many patches the network sees at a level of 0 to 9, which leads from its least to its most."""
        least, most = self.config.tokens
        return int(least + level / 9 * (most - least))

    def forward(self, images: Tensor, tokens: int, with_normals: bool = True) -> RawGeometry:
        """images (B, 3, H, W), RGB, 0..1; tokens: about how many patches the encoder sees.

        with_normals: whether the head for normals is run, where there is one.
        """
        check_shapes(images=(images, "B 3 H W"))
        height, width = images.shape[-2:]
        aspect = width / height
        grid = round((tokens / aspect) ** 0.5), round((tokens * aspect) ** 0.5)
        dtype = self.encoder.backbone.cls_token.dtype
        seen = F.interpolate(
            images.float(), (grid[0] * PATCH, grid[1] * PATCH), mode="bilinear", antialias=True
        )
        mean, deviation = (seen.new_tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
        features, overview = self.encoder(((seen - mean) / deviation).to(dtype), grid)
        levels = []
        for level in range(len(self.config.neck.channels)):
            place = view_plane(grid[0] << level, grid[1] << level, aspect, seen.device).to(features)
            levels.append(place.permute(2, 0, 1).expand(len(images), -1, -1, -1))
        levels[0] = torch.cat([features, levels[0]], 1)
        levels = self.neck(levels)
        heads = {
            name: F.interpolate(
                getattr(self, name)(levels)[-1].float(), (height, width), mode="bilinear"
            )
            for name in self.config.heads
            if with_normals or name != "normal_head"
        }
        points = remapped(heads["points_head"].permute(0, 2, 3, 1), self.config.remap)
        normals, finite = heads.get("normal_head"), heads.get("mask_head")
        return RawGeometry(
            points,
            None if normals is None else F.normalize(normals.permute(0, 2, 3, 1), dim=-1),
            None if finite is None else finite[:, 0].sigmoid(),
            None if self.config.scale is None else self.scale_head(overview)[:, 0].float().exp(),
        )


def remapped(points: Tensor, remap: Remap) -> Tensor:
    """Points (B, H, W, 3) of what the head gives (B, H, W, 3), which spares it large numbers."""
    across, z = points.split([2, 1], -1)
    if remap == "exp":
        z = z.exp()
        return torch.cat([across * z, z], -1)
    if remap == "sinh_exp":
        return torch.cat([across.sinh(), z.exp()], -1)
    return points.sinh() if remap == "sinh" else points
