"""Depth Anything 3: depth of one view, or depth and cameras of several (Lin et al. 2025).

Shapes: B images or V views, (H, W) pixels of the network's input, (h, w) patches of 14 x 14 pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dynprep.models.depth_anything_3.camera import CameraDecoder
from dynprep.models.depth_anything_3.config import ANY_VIEW, ONE_VIEW, Size
from dynprep.models.depth_anything_3.head import Head
from dynprep.models.depth_anything_3.views import ViewEncoder
from dynprep.models.dinov2 import PATCH, POSITION_OFFSET, DinoV2

# what published checkpoints hold and depth and cameras do not need: rays, cameras that are known, Gaussians
UNUSED = (
    *(f"head.scratch.refinenet{level}_aux." for level in range(1, 5)),
    "head.scratch.output_conv1_aux.",
    "head.scratch.output_conv2_aux.",
    "cam_enc.",
    "gs_head.",
    "gs_adapter.",
)
UNUSED_OF_NESTED = tuple(f"da3.{name}" for name in UNUSED)
METRIC_FOCAL = 300.0  # pixels of focal length at which the metric network's output is in metres
_NEAREST_METRES, _NEAREST, _TINY = 1e-2, 1e-3, 1e-12  # limits of the fit to metres, as published
_SKY = 0.3  # of the raw sky map, from which on there is sky, as published


@dataclass(frozen=True)
class ViewGeometry:
    """What several views show, float32, all in one unit of length that nothing tells.

    depth (V, H, W); confidence (V, H, W): above 1, where high is good; camera_to_world (V, 4, 4): OpenCV axes; focal
    (V, 2): along x and y, in pixels of the network's input.
    """

    depth: Tensor
    confidence: Tensor
    camera_to_world: Tensor
    focal: Tensor


class _Backbone(nn.Module):
    """Holds the encoder under the name that published files have."""

    def __init__(self, encoder: DinoV2) -> None:
        super().__init__()
        self.pretrained = encoder


class _ViewsBackbone(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.pretrained = ViewEncoder(size)


class OneView(nn.Module):
    """The networks for single images: relative (MONO) and metric (METRIC), keys as published without ``model.``"""

    def __init__(self, size: str) -> None:
        super().__init__()
        s = ONE_VIEW[size]
        encoder = DinoV2(s.channels, s.blocks, s.taps, 1e-5, POSITION_OFFSET)
        self.backbone = _Backbone(encoder)
        self.head = Head(s, s.channels, placed=False, outputs=1, sky=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Depth (B, H, W), above 0, and where there is sky (B, H, W), boolean.

        images (B, 3, H, W): normalised, sides multiples of 14. Depth is of unknown scale from MONO, and from METRIC in
        metres at a focal length of ``METRIC_FOCAL`` pixels.
        """
        features = [patches for patches, _ in self.backbone.pretrained(images)]
        raw, sky = self.head(features, _grid(images))
        assert sky is not None
        return raw[:, 0].float().exp(), sky[:, 0] >= _SKY


class AnyView(nn.Module):
    """The networks for several views of a scene, keys as published without ``model.``"""

    def __init__(self, size: str) -> None:
        super().__init__()
        s = ANY_VIEW[size]
        self.backbone = _ViewsBackbone(s)
        self.head = Head(s, 2 * s.channels, placed=True, outputs=2, sky=False)
        self.cam_dec = CameraDecoder(2 * s.channels)

    def forward(self, images: Tensor) -> ViewGeometry:
        """images (V, 3, H, W): normalised, sides multiples of 14; views of one scene."""
        features, tokens = self.backbone.pretrained.encode(images)
        raw, _ = self.head(features, _grid(images))
        depth, confidence = raw.float().exp().unbind(1)
        poses, focal = self.cam_dec(tokens, (images.shape[-2], images.shape[-1]))
        return ViewGeometry(depth, 1 + confidence, poses, focal)


class Nested(nn.Module):
    """A network for several views, which one for single images brings to metres.

    views, single: their sizes, as published unless they are named.
    """

    def __init__(self, views: str = "giant", single: str = "large") -> None:
        super().__init__()
        self.da3 = AnyView(views)
        self.da3_metric = OneView(single)


def metric_scale(views: ViewGeometry, depth: Tensor, sky: Tensor) -> float | None:
    """How many metres a unit of ``views`` is; None where no pixel tells, such as in a sky alone.

    depth (V, H, W), sky (V, H, W): what the metric network gives for the same images. By least squares over the more
    certain half of the pixels that are no sky.
    """
    metres = depth * (views.focal.mean(-1) / METRIC_FOCAL)[:, None, None]
    if sky.all():
        return None
    likely = views.confidence >= torch.median(views.confidence[~sky])
    used = likely & ~sky & (metres > _NEAREST_METRES) & (views.depth > _NEAREST)
    if not used.any():
        return None
    seen = views.depth[used]
    return float((metres[used] * seen).sum() / seen.square().sum().clamp(min=_TINY))


def _grid(images: Tensor) -> tuple[int, int]:
    return images.shape[-2] // PATCH, images.shape[-1] // PATCH
