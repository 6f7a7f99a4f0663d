"""Sizes of UniDepth V2's variants, and what a checkpoint's config.json may change of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dynprep.errors import UserError


@dataclass(frozen=True)
class Config:
    """encoder: channels, blocks, taps (after which blocks features are taken). channels: of the
    decoder. ratio: limits of width / height; pixels: limits of the area that the network sees."""

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


def configured(variant: str, raw: Mapping[str, Any] | None, where: str) -> Config:
    """The variant's configuration with what the checkpoint's config.json overrides.

    raw: the parsed config.json, or None; where: its path, for messages. Raises UserError for a
    value that this network cannot honour, and for another encoder than the variant's.
    """
    config = VARIANTS[variant]
    if raw is None:
        return config
    found: dict[str, Any] = {}
    for group, key, value in _leaves(raw):
        if key in _FIXED and value not in _FIXED[key]:
            raise UserError(
                f"{where}: {key}={value} is not supported (this network has {_FIXED[key][0]}); "
                "use a checkpoint without it"
            )
        if group == "pixel_encoder" and key == "name" and value != config.encoder:
            raise UserError(
                f"{where}: its encoder is {value}, this backend's is {config.encoder}; choose the "
                "backend of that size, or its own checkpoint"
            )
        if key in ("output_idx", "ratio_bounds"):
            found["taps" if key == "output_idx" else "ratio"] = tuple(value)
        if key in ("hidden_dim", "num_heads"):
            found["channels" if key == "hidden_dim" else "heads"] = int(value)
        if key in ("pixels_min", "pixels_max"):
            found[key] = float(value)
    low, high = config.pixels
    pixels = (found.pop("pixels_min", low), found.pop("pixels_max", high))
    return replace(config, **found, pixels=pixels)


def _leaves(node: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, str, Any]]:
    """(name of the mapping that holds it, key, value) of every plain value."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, str(key))
        else:
            yield group, str(key), value
