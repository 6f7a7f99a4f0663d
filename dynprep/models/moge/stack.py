"""Convolutions over five resolutions, each twice the one before: MoGe-2's neck and heads, keys as published."""

from collections.abc import Sequence

from torch import Tensor, nn

from dynprep.models.moge.config import Resampler, StackConfig


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Identity(),  # where other networks of this family have a norm: keys count it
            nn.ReLU(),
            _convolution(channels, channels),
            nn.Identity(),
            nn.ReLU(),
            _convolution(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _doubled(kind: Resampler, inputs: int, outputs: int) -> nn.Sequential:
    """From one resolution to twice that."""
    if kind == "bilinear":
        larger: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        return nn.Sequential(larger, _convolution(inputs, outputs))
    larger = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
    return nn.Sequential(larger, _convolution(outputs, outputs))


class Stack(nn.Module):
    """Adds what enters at each resolution to what comes from the one below, and refines it."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        levels = range(len(config.channels))
        self.input_blocks = nn.ModuleList(
            _pointwise(config.inputs[k], config.channels[k], config.inputs[k]) for k in levels
        )
        self.resamplers = nn.ModuleList(
            _doubled(config.resamplers[k], config.channels[k], config.channels[k + 1])
            for k in levels[:-1]
        )
        self.res_blocks = nn.ModuleList(
            nn.Sequential(*(_Residual(config.channels[k]) for _ in range(config.blocks[k])))
            for k in levels
        )
        self.output_blocks = nn.ModuleList(
            _pointwise(config.channels[k], config.outputs[k], config.outputs[k]) for k in levels
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """levels: (B, C, h, w), (B, C', 2h, 2w), …; returns as many."""
        outputs = []
        x = self.input_blocks[0](levels[0])
        for k, values in enumerate(levels):
            if k > 0:
                x = self.resamplers[k - 1](x) + self.input_blocks[k](values)
            x = self.res_blocks[k](x)
            outputs.append(self.output_blocks[k](x))
        return outputs


def _pointwise(inputs: int | None, outputs: int | None, exists: int | None) -> nn.Module:
    """A convolution of single pixels, or nothing where there is none."""
    if exists is None:
        return nn.Identity()
    assert inputs is not None and outputs is not None
    return nn.Conv2d(inputs, outputs, 1)
