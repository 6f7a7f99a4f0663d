"""Sizes of the published Depth Anything 3 networks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Sizes of one network.

    channels, blocks: of the encoder; taps: numbers of the blocks that the head looks at, from 1; widths: channels of
    the head's four levels; features: channels in which they are fused; views_from: number of the block, from 0, from
    which on views see each other, None where there is one view; gated: whether the encoder's perceptrons are gated.
    """

    channels: int
    blocks: int
    taps: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    features: int
    views_from: int | None = None
    gated: bool = False


_LARGE = (256, 512, 1024, 1024)

ANY_VIEW = {
    "small": Size(384, 12, (6, 8, 10, 12), (48, 96, 192, 384), 64, 4),
    "base": Size(768, 12, (6, 8, 10, 12), (96, 192, 384, 768), 128, 4),
    "large": Size(1024, 24, (12, 16, 20, 24), _LARGE, 256, 8),
    "giant": Size(1536, 40, (20, 28, 34, 40), _LARGE, 256, 13, gated=True),
}
# the published ones are large
ONE_VIEW = {
    "small": Size(384, 12, (3, 6, 9, 12), (48, 96, 192, 384), 64),
    "large": Size(1024, 24, (5, 12, 18, 24), _LARGE, 256),
}
