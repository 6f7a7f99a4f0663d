"""Tracks of one query frame in one target as small whole numbers, and back.

Shapes: N query pixels, P planes of bytes. x and y are kept as their offset from the query pixel in steps of 1/32 px,
so that they are at most 1/64 px off wherever they lie: a half float would hold that bound for offsets up to 64 px
alone. Scores are kept in steps too, so that noise far below what they tell does not fill the file.
"""

from dataclasses import dataclass

import numpy as np

from dynprep.arrays import AnyArray, Float32Array, check_shapes
from dynprep.artefacts.tracks import OCCLUSION, ScoreForm

OFFSET_STEPS = 32  # a pixel
BOUND = 1 / (2 * OFFSET_STEPS)  # px that a coordinate is off at most
SCORE_STEPS: dict[ScoreForm, int] = {"probability": 1024, "logit": 64}  # a unit
_HIDDEN: dict[ScoreForm, float] = {
    "probability": 0.5,
    "logit": 0.0,
}  # occlusion from which on a point counts as hidden
_NARROW, _WIDE = np.dtype("<i2"), np.dtype("<i4")


@dataclass(frozen=True)
class PackedTarget:
    """Tracks of one query frame in one target, in steps.

    offsets: (N, 2) int16, or int32 where one is longer than 1,023 px; scores: (N, 2) int16, occlusion and confidence.
    """

    offsets: AnyArray
    scores: AnyArray


def pack(tracks: AnyArray, query: Float32Array, form: ScoreForm) -> PackedTarget:
    """Tracks (N, 4) of a dataset, made small. query: (N, 2), the query pixels.

    Scores are rounded, but a point that counts as hidden goes on doing so, and one that does not, not.
    """
    check_shapes(tracks=(tracks, "N 4"), query=(query, "N 2"))
    offsets = np.rint((tracks[:, :OCCLUSION].astype(np.float64) - query) * OFFSET_STEPS)
    is_narrow = np.abs(offsets).max(initial=0) <= np.iinfo(_NARROW).max
    steps, hidden = SCORE_STEPS[form], _HIDDEN[form]
    scores = np.rint(tracks[:, OCCLUSION:].astype(np.float64) * steps)
    # what is hidden is rounded to at least the bound, and what is not to less
    is_hidden, bound = tracks[:, OCCLUSION] >= hidden, hidden * steps
    scores[:, 0] = np.where(
        is_hidden, np.maximum(scores[:, 0], bound), np.minimum(scores[:, 0], bound - 1)
    )
    return PackedTarget(offsets.astype(_NARROW if is_narrow else _WIDE), scores.astype(_NARROW))


def unpack(packed: PackedTarget, query: Float32Array, form: ScoreForm, dtype: str) -> AnyArray:
    """Tracks (N, 4) in ``dtype``, as a dataset that is not packed has them. query: (N, 2), the query pixels."""
    check_shapes(
        offsets=(packed.offsets, "N 2"), scores=(packed.scores, "N 2"), query=(query, "N 2")
    )
    moved = query.astype(np.float64) + packed.offsets / OFFSET_STEPS
    return np.concatenate([moved, packed.scores / SCORE_STEPS[form]], 1).astype(dtype)


def planes_of(packed: PackedTarget) -> AnyArray:
    """One target's bytes (P, N) uint8 in the order that compresses best; P is 8, or 12 with wide offsets.

    Neighbours along a row move alike, so differences from the point before are kept, which wrap around. Bytes of one
    significance lie together, the lowest first: those of x, of y, of occlusion, of confidence.
    """
    offsets = np.diff(packed.offsets, axis=0, prepend=packed.offsets.dtype.type(0))
    columns = [
        np.ascontiguousarray(part[:, k]) for part in (offsets, packed.scores) for k in range(2)
    ]
    return np.concatenate([c.view(np.uint8).reshape(len(c), c.itemsize).T for c in columns])


def from_planes(planes: AnyArray) -> PackedTarget:
    """The target whose bytes ``planes_of`` gave. Raises ValueError for other shapes and types."""
    kinds = {2 * kind.itemsize + 2 * _NARROW.itemsize: kind for kind in (_NARROW, _WIDE)}
    if planes.ndim != 2 or planes.dtype != np.uint8 or len(planes) not in kinds:
        raise ValueError(
            f"planes is {planes.dtype} {planes.shape}; uint8 (8, N) or (12, N) is meant"
        )
    kind = kinds[len(planes)]
    dtypes = (kind, kind, _NARROW, _NARROW)
    parts = np.split(planes, np.cumsum([dtype.itemsize for dtype in dtypes])[:-1])
    x, y, occlusion, confidence = (
        np.ascontiguousarray(part.T).view(dtype)[:, 0]
        for part, dtype in zip(parts, dtypes, strict=True)
    )
    offsets = np.cumsum(np.stack([x, y], 1), axis=0, dtype=kind)
    return PackedTarget(offsets, np.stack([occlusion, confidence], 1))
