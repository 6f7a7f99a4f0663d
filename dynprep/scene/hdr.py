"""High dynamic range video as what networks were trained on: 8-bit RGB of a standard display.

PQ (SMPTE ST 2084) and HLG (ITU-R BT.2100) are brought to light in nits, from the peak of a mastering display to
diffuse white by the curve of ITU-R BT.2390, from the colours of BT.2020 to those of BT.709 (ITU-R BT.2087), and to code
values by the inverse of ITU-R BT.1886.

Shapes: (H, W, 3) pixels.
"""

from functools import lru_cache
from typing import Literal

import numpy as np

from dynprep.arrays import Float32Array, Float64Array, UInt8Array, UInt16Array

Transfer = Literal["PQ", "HLG"]

PEAK = 1000.0  # nits: most material is mastered to it, what is brighter is clipped
WHITE = 203.0  # nits: diffuse white, ITU-R BT.2408
VERSION = 1  # raised when the same video gives other frames
_CODES = 65536
_ROWS = 64  # at once, so that memory stays small

# SMPTE ST 2084
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_PQ_PEAK = 10000.0
# ITU-R BT.2100
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * np.log(4 * _A)
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_SYSTEM_GAMMA = 1.2  # of a display of 1,000 nits
_DISPLAY_GAMMA = 2.4  # ITU-R BT.1886
# ITU-R BT.2087: linear BT.2020 to linear BT.709
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def to_sdr(rgb: UInt16Array, transfer: Transfer) -> UInt8Array:
    """Code values (H, W, 3) of 16 bits in BT.2020 as 8-bit RGB of a standard display."""
    parts = [_part(rgb[k : k + _ROWS], transfer) for k in range(0, len(rgb), _ROWS)]
    return np.concatenate(parts)


def _part(rgb: UInt16Array, transfer: Transfer) -> UInt8Array:
    light = _light(transfer)[rgb]
    if (
        transfer == "HLG"
    ):  # the opto-optical transfer function, which makes light of the scene that of a display
        luma = np.maximum(light @ _LUMA, 1e-6)
        light = light * (PEAK * luma ** (_SYSTEM_GAMMA - 1))[..., None]
    brightest = light.max(-1)
    nits, mapped = _curve()
    # one factor for all three colours keeps the hue
    factor = np.interp(brightest, nits, mapped).astype(np.float32) / np.maximum(brightest, 1e-6)
    linear = np.clip((light * factor[..., None]) @ _TO_709.T / WHITE, 0, 1)
    return np.rint(255 * linear ** (1 / _DISPLAY_GAMMA)).astype(np.uint8)


@lru_cache
def _light(transfer: Transfer) -> Float32Array:
    """Light by code value (65536,): in nits of PQ, from 0 to 1 of the scene of HLG."""
    value = np.arange(_CODES) / (_CODES - 1)
    if transfer == "PQ":
        return pq_to_nits(value).astype(np.float32)
    dark = value**2 / 3
    bright = (np.exp((value - _C) / _A) + _B) / 12
    return np.where(value <= 0.5, dark, bright).astype(np.float32)


def pq_to_nits(value: Float64Array) -> Float64Array:
    """The electro-optical transfer function of SMPTE ST 2084: values in [0, 1] to nits."""
    root = value ** (1 / _M2)
    light: Float64Array = np.maximum(root - _C1, 0) / (_C2 - _C3 * root)
    return _PQ_PEAK * light ** (1 / _M1)


def nits_to_pq(nits: Float64Array) -> Float64Array:
    """The inverse of ``pq_to_nits``."""
    power = (nits / _PQ_PEAK) ** _M1
    value: Float64Array = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return value


@lru_cache
def _curve() -> tuple[Float64Array, Float64Array]:
    """Nits, and what the electro-electrical transfer function of ITU-R BT.2390 (section 5.4.1) makes of them."""
    top = nits_to_pq(np.array(PEAK))
    value = np.linspace(0, 1, 4096)
    most = float(nits_to_pq(np.array(WHITE)) / top)
    knee = 1.5 * most - 0.5
    t = (value - knee) / (1 - knee)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_to_nits(value * top), pq_to_nits(np.where(value < knee, value, bent) * top)
