"""Sizes of a MoGe-2 network, as its checkpoint says them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from dynprep.errors import UserError
from dynprep.foreign import check, shown

_LEVELS = 5  # resolutions of the decoder, each twice the one before
_WIDEST, _DEEPEST = 4096, 16  # limits that no published network comes near
_HEADS = ("points_head", "mask_head", "normal_head")

Resampler = Literal["conv_transpose", "bilinear"]
Remap = Literal["linear", "sinh", "exp", "sinh_exp"]


@dataclass(frozen=True)
class EncoderSize:
    """Channels and blocks of a DINOv2 encoder."""

    channels: int
    blocks: int


ENCODERS = {
    "dinov2_vits14": EncoderSize(384, 12),
    "dinov2_vitb14": EncoderSize(768, 12),
    "dinov2_vitl14": EncoderSize(1024, 24),
}


@dataclass(frozen=True)
class StackConfig:
    """A stack of convolutions over five resolutions.

    inputs, outputs: channels that enter and leave each resolution, None where there is no layer for it; channels,
    blocks: of each resolution; resamplers: how each resolution becomes the next one.
    """

    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    channels: tuple[int, ...]
    blocks: tuple[int, ...]
    resamplers: tuple[Resampler, ...]


@dataclass(frozen=True)
class Config:
    """What tells one MoGe-2 network from another.

    encoder: name in ``ENCODERS``; taps: numbers of the encoder's blocks that are looked at, from 1; projected:
    channels that their sum has; neck, heads: the decoder, its heads by their names; scale: widths of the layers that
    give the scale, None for a network without one; remap: what is done to raw points; tokens: least and most patches
    that the network was trained with.
    """

    encoder: str
    taps: tuple[int, ...]
    projected: int
    neck: StackConfig
    heads: Mapping[str, StackConfig]
    scale: tuple[int, ...] | None
    remap: Remap
    tokens: tuple[int, int]


class _Encoder(TypedDict):
    backbone: Literal["dinov2_vits14", "dinov2_vitb14", "dinov2_vitl14"]
    intermediate_layers: list[int] | int
    dim_out: int


class _Stack(TypedDict, total=False):
    dim_in: list[int | None] | int | None
    dim_out: list[int | None] | int | None
    dim_res_blocks: list[int]
    num_res_blocks: list[int] | int
    resamplers: list[Resampler] | Resampler
    res_block_in_norm: Literal["none"]
    res_block_hidden_norm: Literal["none"]
    dim_times_res_block_hidden: Literal[1]
    activation: Literal["relu"]


class _Scale(TypedDict):
    dims: list[int]


class _Raw(TypedDict, total=False):
    encoder: _Encoder
    neck: _Stack
    points_head: _Stack
    mask_head: _Stack | None
    normal_head: _Stack | None
    scale_head: _Scale | None
    remap_output: Remap
    num_tokens_range: list[int]


def configured(raw: Any, where: str) -> Config:
    """The configuration of a checkpoint's ``model_config``.

    where: names it in messages. Raises UserError for one that this network cannot honour.
    """
    check(raw, _Raw, where)
    for name in ("encoder", "neck", "points_head", "remap_output"):
        if name not in raw:
            raise UserError(f"{where}: does not say its {name}; it is no MoGe-2 checkpoint")
    encoder = raw["encoder"]
    blocks = ENCODERS[encoder["backbone"]].blocks
    layers = encoder["intermediate_layers"]
    if isinstance(layers, int):
        layers = list(range(blocks - layers, blocks))
    if not layers or not all(0 <= layer < blocks for layer in layers):
        raise _odd(where, "intermediate_layers", layers)
    heads = {
        name: _stack(raw[name], f"{where}: {name}") for name in _HEADS if raw.get(name) is not None
    }
    scale = raw.get("scale_head")
    tokens = raw.get("num_tokens_range", [1200, 3600])
    if len(tokens) != 2 or not 0 < tokens[0] <= tokens[1]:
        raise _odd(where, "num_tokens_range", tokens)
    return Config(
        encoder["backbone"],
        tuple(layer + 1 for layer in layers),
        _width(encoder["dim_out"], where, "dim_out"),
        _stack(raw["neck"], f"{where}: neck"),
        heads,
        None if scale is None else tuple(_width(v, where, "dims") for v in scale["dims"]),
        raw["remap_output"],
        (tokens[0], tokens[1]),
    )


def _stack(raw: Mapping[str, Any], where: str) -> StackConfig:
    channels = [_width(v, where, "dim_res_blocks") for v in raw.get("dim_res_blocks", [])]
    if len(channels) != _LEVELS:
        raise _odd(where, "dim_res_blocks", channels)
    blocks = _each(raw.get("num_res_blocks", 1), _LEVELS, where, "num_res_blocks")
    if not all(0 <= count <= _DEEPEST for count in blocks):
        raise _odd(where, "num_res_blocks", blocks)
    for norm in ("res_block_in_norm", "res_block_hidden_norm"):
        if norm not in raw:  # upstream's default is a norm
            raise UserError(f"{where}: {norm} is not 'none', which this network has")
    inputs = _each(raw.get("dim_in"), _LEVELS, where, "dim_in")
    outputs = _each(raw.get("dim_out"), _LEVELS, where, "dim_out")
    for value in (*inputs, *outputs):
        if value is not None:
            _width(value, where, "dim_in or dim_out")
    resamplers = _each(raw.get("resamplers"), _LEVELS - 1, where, "resamplers")
    return StackConfig(
        tuple(inputs), tuple(outputs), tuple(channels), tuple(blocks), tuple(resamplers)
    )


def _each(value: Any, count: int, where: str, name: str) -> Sequence[Any]:
    """``count`` values, of which one may stand for all."""
    values = value if isinstance(value, list) else [value] * count
    if len(values) != count:
        raise _odd(where, name, values)
    return values


def _width(value: int, where: str, name: str) -> int:
    if not 0 < value <= _WIDEST:
        raise _odd(where, name, value)
    return value


def _odd(where: str, name: str, value: Any) -> UserError:
    return UserError(f"{where}: {name}={shown(value)} fits no MoGe-2 network; fetch it again")
