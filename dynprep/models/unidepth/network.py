"""UniDepth V2: metric depth and intrinsics of one image, with or without a known camera.

Shapes: B images, N patches of 14 x 14 pixels, C channels, (H, W) pixels of an image.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dynprep.arrays import check_shapes
from dynprep.models.dinov2 import PATCH, DinoV2
from dynprep.models.unidepth.camera import CameraHead, pinhole
from dynprep.models.unidepth.config import VARIANTS, Config
from dynprep.models.unidepth.depth import DepthHead
from dynprep.models.unidepth.framing import Framing
from dynprep.models.unidepth.rays import ray_features, unit_rays

# keys of published checkpoints that reach no output
UNUSED = (
    "pixel_encoder.register_tokens",
    "pixel_encoder.mask_token",
    "pixel_decoder.level_embeds",
)
_LARGEST_LOG = 8.0
_LOG_RADIUS = 2.0  # what a raw output of 0 means: exp(2) m


class _Adapter(nn.Module):
    """One linear layer for each of four levels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.input_adapters = nn.ModuleList(nn.Linear(channels, out) for _ in range(4))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        return [linear(x) for linear, x in zip(self.input_adapters, levels, strict=True)]


class _Decoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.input_adapter = _Adapter(config.encoder_channels, config.channels)
        self.camera_token_adapter = _Adapter(config.encoder_channels, config.channels)
        self.camera_layer = CameraHead(config.channels, config.heads)
        self.depth_layer = DepthHead(config.channels, config.heads)


class UniDepthV2(nn.Module):
    """The inference network, with the parameter names of the published checkpoints.

    variant: ``vits14``, ``vitb14`` or ``vitl14``, or a Config. Geometry is computed in float32
    (float64 for float64 weights) whatever the weights' precision.
    """

    def __init__(self, variant: str | Config) -> None:
        super().__init__()
        self.config = VARIANTS[variant] if isinstance(variant, str) else variant
        c = self.config
        self.pixel_encoder = DinoV2(c.encoder_channels, c.encoder_blocks, c.taps)
        self.pixel_decoder = _Decoder(c)

    def load_published(self, tensors: Mapping[str, Tensor]) -> None:
        """Take a published checkpoint's tensors. Raises RuntimeError unless all keys but ``UNUSED`` fit."""
        self.load_state_dict({k: v for k, v in tensors.items() if k not in UNUSED}, strict=True)

    @torch.inference_mode()
    def infer(
        self,
        images: Tensor,
        intrinsics: Tensor | None = None,
        resolution_level: float | None = None,
        correct_intrinsics: bool = False,
    ) -> dict[str, Tensor]:
        """Predict depth, intrinsics and confidence of images (B, 3, H, W), RGB, uint8 or floating 0..255.

        intrinsics: (B, 3, 3), (1, 3, 3) or (3, 3) in pixels, pixel centres at whole numbers + 0.5: used for
        the rays and returned unchanged; None: predicted. resolution_level: 0 to below 10 sets the area that
        the network sees, about 200,000 + 40,000 · level pixels; None: the image's own area within
        200,000 … 600,000. correct_intrinsics: scale intrinsics by each axis's true ratio; the published
        code uses one factor, up to 4 % off in one axis.

        Returns ``depth`` (B, 1, H, W) in metres along the optical axis, ``intrinsics`` (B, 3, 3) in pixels,
        ``confidence`` (B, 1, H, W) above 0, where low is good (it ranks pixels within one image). Raises
        ValueError for other shapes or a level out of range.
        """
        check_shapes(images=(images, "B 3 H W"))
        device, dtype = self._device_and_dtype()
        geometry = torch.promote_types(dtype, torch.float32)
        framing = Framing.of(images.shape[2], images.shape[3], self.config, resolution_level)
        pixels = framing.enter(images.to(device, geometry))
        levels, tokens = self._encode(pixels.to(dtype))
        if intrinsics is None:
            net_camera = self._camera(tokens, framing.net, geometry)
            camera = framing.camera_out(net_camera, correct_intrinsics)
        else:
            camera = self._one_each(intrinsics, len(images))
            net_camera = framing.camera_in(camera.to(device, geometry), correct_intrinsics)
        rays = unit_rays(net_camera, framing.net)
        grid = (framing.net[0] // PATCH, framing.net[1] // PATCH)
        features = ray_features(rays, grid, self.config.channels).to(dtype)
        head = self.pixel_decoder.depth_layer
        log_radius, log_confidence = head(levels, features, grid, framing.net)
        limited = log_radius.to(geometry).clamp(-_LARGEST_LOG, _LARGEST_LOG)
        confidence = log_confidence.to(geometry).clamp(-_LARGEST_LOG, _LARGEST_LOG).exp()
        # z of the unit ray times the distance from the camera is depth; multiplied first, resized second,
        # as the published code does with points
        depth = framing.leave(rays[:, 2:] * (limited + _LOG_RADIUS).exp())
        return {"depth": depth, "intrinsics": camera, "confidence": framing.leave(confidence)}

    @torch.inference_mode()
    def camera(
        self,
        images: Tensor,
        resolution_level: float | None = None,
        correct_intrinsics: bool = False,
    ) -> Tensor:
        """Return the intrinsics (B, 3, 3) in pixels that ``infer`` predicts, without computing depth.

        images (B, 3, H, W), RGB, uint8 or floating 0..255; the options are those of ``infer``. Raises
        ValueError for other shapes or a level out of range.
        """
        check_shapes(images=(images, "B 3 H W"))
        device, dtype = self._device_and_dtype()
        geometry = torch.promote_types(dtype, torch.float32)
        framing = Framing.of(images.shape[2], images.shape[3], self.config, resolution_level)
        _, tokens = self._encode(framing.enter(images.to(device, geometry)).to(dtype))
        return framing.camera_out(self._camera(tokens, framing.net, geometry), correct_intrinsics)

    def _device_and_dtype(self) -> tuple[torch.device, torch.dtype]:
        weight = self.pixel_encoder.cls_token
        return weight.device, weight.dtype

    def _encode(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Patch features by level, four (B, N, C), and camera tokens (B, 4, C)."""
        taps = self.pixel_encoder(pixels)
        levels = self.pixel_decoder.input_adapter([patches for patches, _ in taps])
        tokens = self.pixel_decoder.camera_token_adapter([cls for _, cls in taps])
        return levels, torch.stack(tokens, 1)

    def _camera(self, tokens: Tensor, net: tuple[int, int], geometry: torch.dtype) -> Tensor:
        """Intrinsics (B, 3, 3) in pixels of the network's input from camera tokens (B, 4, C)."""
        return pinhole(self.pixel_decoder.camera_layer(tokens).to(geometry), net)

    @staticmethod
    def _one_each(intrinsics: Tensor, count: int) -> Tensor:
        """Intrinsics (count, 3, 3) of one camera or of as many."""
        k = intrinsics[None] if intrinsics.ndim == 2 else intrinsics
        if k.shape[1:] != (3, 3) or len(k) not in (1, count):
            raise ValueError(
                f"intrinsics are {tuple(intrinsics.shape)}; (3, 3) or ({count}, 3, 3) is meant"
            )
        return k.expand(count, 3, 3)
