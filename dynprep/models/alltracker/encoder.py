"""AllTracker's two image encoders, both of stride 8; frames do not see each other in them.

Shapes: B images, C channels, (H, W) pixels of the network's input, (h, w) cells of 8 x 8 pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8
_EPS = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each cell of (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, h, w) -> the same."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """ConvNeXt's block (Liu et al. 2022): depthwise 7 x 7, norm, perceptron, gain, residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.ones(channels, 1, 1))
        # places 1, 4 and 6 are upstream's layers without parameters
        self.block = nn.ModuleDict(
            {
                "0": nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
                "2": nn.LayerNorm(channels, eps=_EPS),
                "3": nn.Linear(channels, 4 * channels),
                "5": nn.Linear(4 * channels, channels),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, h, w) -> the same."""
        inner = self.block["0"](x).permute(0, 2, 3, 1)
        inner = self.block["5"](F.gelu(self.block["3"](self.block["2"](inner))))
        residual = x.permute(0, 2, 3, 1)
        return torch.addcmul(residual, inner, self.layer_scale[:, 0, 0]).permute(0, 3, 1, 2)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ConvNextBlock(channels) for _ in range(count)))


class ConvNextEncoder(nn.Module):
    """The first three stages of ConvNeXt-Tiny (Liu et al. 2022), to 384 channels.

    The third stage begins with a dilated convolution in place of a strided one, to stay at stride 8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 96, 4, 4), ChannelNorm(96)),
            _blocks(96, 3),
            nn.Sequential(ChannelNorm(96), nn.Conv2d(96, 192, 2, 2)),
            _blocks(192, 3),
            nn.Sequential(ChannelNorm(192), nn.Conv2d(192, 384, 3, padding=2, dilation=2)),
            _blocks(384, 9),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 3, H, W), normalised -> (B, 384, h, w)."""
        return self.features(x)


def _instance_norm(x: Tensor) -> Tensor:
    return F.instance_norm(x, eps=1e-5)


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.downsample = nn.ModuleList()
        if stride != 1:
            self.downsample.append(nn.Conv2d(channels, out, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(_instance_norm(self.conv1(x)))
        inner = F.relu(_instance_norm(self.conv2(inner)))
        for conv in self.downsample:
            x = _instance_norm(conv(x))
        return F.relu(x + inner)


class BasicEncoder(nn.Module):
    """The encoder of RAFT (Teed and Deng 2020), with four stages merged at stride 8, to 128 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3)
        sides = ((64, 64, 1), (64, 96, 2), (96, 128, 2), (128, 128, 2))
        for number, (channels, out, stride) in enumerate(sides, 1):
            stage = nn.Sequential(_Residual(channels, out, stride), _Residual(out, out, 1))
            self.add_module(f"layer{number}", stage)
        self.conv2 = nn.Conv2d(64 + 96 + 128 + 128, 256, 3, padding=1)
        self.conv3 = nn.Conv2d(256, 128, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 3, H, W), normalised -> (B, 128, h, w)."""
        size = (x.shape[-2] // STRIDE, x.shape[-1] // STRIDE)
        x = F.relu(_instance_norm(self.conv1(x)))
        stages = []
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
            stages.append(F.interpolate(x, size, mode="bilinear", align_corners=True))
        return self.conv3(F.relu(_instance_norm(self.conv2(torch.cat(stages, 1)))))
