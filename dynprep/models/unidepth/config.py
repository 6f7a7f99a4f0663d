"""Sizes of UniDepth V2's variants, and what a checkpoint's config.json may change of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dynprep.errors import UserError
from dynprep.foreign import is_number, shown


@dataclass(frozen=True)
class Config:
    """Sizes of a network, and limits of what it sees.

    encoder: name of the DINOv2 variant; encoder_channels, encoder_blocks: its width and depth; taps: numbers
    of the blocks after which features are taken, from 1; channels, heads: width of the decoder and its
    attention heads; ratio: limits of width / height; pixels: limits of the area that the network sees.
    """

    encoder: str
    encoder_channels: int
    encoder_blocks: int
    taps: tuple[int, ...]
    channels: int
    heads: int = 8
    ratio: tuple[float, float] = (0.5, 2.5)
    pixels: tuple[float, float] = (200_000, 600_000)


VARIANTS = {
    "vits14": Config("dinov2_vits14", 384, 12, (3, 6, 9, 12), 256),
    "vitb14": Config("dinov2_vitb14", 768, 12, (3, 6, 9, 12), 384),
    "vitl14": Config("dinov2_vitl14", 1024, 24, (6, 12, 18, 24), 512),
}

# what this network is built for; another value in config.json is another network
_FIXED = {
    "interpolate_offset": (0, 0.0),
    "use_norm": (True,),
    "num_register_tokens": (0,),
    "stacking_fn": ("last",),
    "expansion": (4,),
}

# keys of config.json that are followed, and what they set
_OBEYED = {
    "output_idx": "taps",
    "ratio_bounds": "ratio",
    "hidden_dim": "channels",
    "num_heads": "heads",
    "pixels_min": "pixels_min",
    "pixels_max": "pixels_max",
}


def configured(variant: str, raw: Mapping[str, Any] | None, where: str) -> Config:
    """Return the variant's configuration with what the checkpoint's config.json overrides.

    raw: the parsed config.json, or None where there is none; where: its path, for messages. Raises
    UserError for a value that this network cannot honour, and for another encoder than the variant's.
    """
    config = VARIANTS[variant]
    if raw is None:
        return config
    if not isinstance(raw, Mapping):
        raise UserError(f"{where}: not a configuration; fetch it again")
    overrides: dict[str, Any] = {}
    for group, key, value in _leaves(raw):
        if key in _FIXED and value not in _FIXED[key]:
            raise UserError(
                f"{where}: {key}={shown(value)} is not supported (this network has {_FIXED[key][0]}); "
                "use a checkpoint without it"
            )
        if group == "pixel_encoder" and key == "name" and value != config.encoder:
            raise UserError(
                f"{where}: its encoder is {shown(value)}, this backend's is {config.encoder}; choose the "
                "backend of that size, or its own checkpoint"
            )
        if key in _OBEYED:
            overrides[_OBEYED[key]] = tuple(value) if isinstance(value, list) else value
    _check(overrides, config, where)
    low, high = config.pixels
    pixels = (overrides.pop("pixels_min", low), overrides.pop("pixels_max", high))
    return replace(config, **overrides, pixels=pixels)


def _check(overrides: dict[str, Any], config: Config, where: str) -> None:
    """Raise UserError for values that no network can be built from."""
    blocks = range(1, config.encoder_blocks + 1)
    channels = overrides.get("channels", config.channels)
    valid: dict[str, Callable[[Any], bool]] = {
        "taps": lambda v: isinstance(v, tuple) and len(v) == 4 and all(t in blocks for t in v),
        "ratio": lambda v: (
            isinstance(v, tuple) and len(v) == 2 and all(map(is_number, v)) and 0 < v[0] < v[1]
        ),
        "channels": lambda v: isinstance(v, int) and v > 0 and v % 8 == 0,
        "heads": lambda v: isinstance(v, int) and v > 0 and channels % v == 0,
        "pixels_min": lambda v: is_number(v) and v > 0,
        "pixels_max": lambda v: is_number(v) and v > 0,
    }
    for name, value in overrides.items():
        if not valid[name](value):
            key = next(k for k, v in _OBEYED.items() if v == name)
            raise UserError(
                f"{where}: {key}={shown(value)} fits no UniDepth V2 network; fetch it again"
            )


def _leaves(node: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, str, Any]]:
    """(name of the mapping that holds it, key, value) of every plain value."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, str(key))
        else:
            yield group, str(key), value
