"""Intrinsics in files from outside, in the forms that people have them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynprep.errors import UserError
from dynprep.foreign import is_number, shown
from dynprep.scene.pictures import natural

Row = list[float]  # fx, fy, cx, cy in pixels
_FOCAL = (1e-3, 1e7)  # pixels: what lies outside is a mistake
_NAMES = (("fl_x", "fl_y", "cx", "cy"), ("fx", "fy", "cx", "cy"))  # nerfstudio's and others'


def intrinsics_rows(raw: Any, where: str) -> list[Row]:
    """One [fx, fy, cx, cy], or one a frame in natural order of its names, of the value of a JSON file.

    raw: [fx, fy, cx, cy], a matrix of 3 x 3, nerfstudio's transforms.json, or any of these by frame; where: names
    the file. Raises UserError for anything else.
    """
    frames = raw.get("frames") if isinstance(raw, Mapping) else None
    if isinstance(frames, list) and all(
        isinstance(f, Mapping) and "transform_matrix" in f for f in frames
    ):
        return _of_transforms(raw, where)
    if isinstance(raw, Mapping) and not any(set(names) <= raw.keys() for names in _NAMES):
        if not raw:
            raise UserError(f"{where}: holds no intrinsics")
        names = sorted(map(str, raw), key=lambda name: natural(Path(name)))
        return [_row(raw[name], f"{where}: {shown(name)}") for name in names]
    return [_row(raw, where)]


def _of_transforms(raw: Mapping[str, Any], where: str) -> list[Row]:
    """Of a nerfstudio file: its intrinsics stand at the top, or in every frame."""
    frames = sorted(raw["frames"], key=lambda f: natural(Path(str(f.get("file_path", "")))))
    if "fl_x" in raw:
        return [_row(raw, where)]
    return [_row(frame, f"{where}: frame {k}") for k, frame in enumerate(frames)]


def _row(raw: Any, where: str) -> Row:
    """[fx, fy, cx, cy] of any of the forms."""
    values = raw
    if isinstance(raw, Mapping):
        names = next((names for names in _NAMES if set(names) <= raw.keys()), None)
        values = [raw[name] for name in names] if names else raw
    elif (
        isinstance(raw, list)
        and len(raw) == 3
        and all(isinstance(r, list) and len(r) == 3 for r in raw)
    ):
        if not (raw[0][1] == raw[1][0] == raw[2][0] == raw[2][1] == 0 and raw[2][2] == 1):
            raise UserError(f"{where}: {shown(raw)} is no matrix of a pinhole without skew")
        values = [raw[0][0], raw[1][1], raw[0][2], raw[1][2]]
    if not isinstance(values, list) or len(values) != 4 or not all(map(is_number, values)):
        raise UserError(f"{where}: {shown(raw)} is not [fx, fy, cx, cy] in pixels")
    if not all(_FOCAL[0] <= value <= _FOCAL[1] for value in values[:2]):
        raise UserError(
            f"{where}: {shown(raw)}: focal lengths must be between {_FOCAL[0]:g} and {_FOCAL[1]:g} pixels"
        )
    return list(values)
