"""What a user marked as objects: points, boxes and masks on frames of a scene, in a YAML or JSON file or as options.

Coordinates are pixels of ``images/``, x to the right, y down, centres at whole numbers; frames are counted from 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import yaml
from PIL import Image

from dynprep.arrays import BoolArray
from dynprep.errors import UserError, nearest
from dynprep.files import write_bytes
from dynprep.foreign import check, read_limited
from dynprep.scene.frames import Frames
from dynprep.scene.image_files import opened

_MOST_BYTES = 1 << 22
_PLAIN_MODES = ("P", "L", "1", "I;16")  # pictures whose values are read as they are
_MOST_OBJECTS = 255  # ids of an indexed PNG, 0 being the background
_INSIDE, _OUTSIDE = 1, 0  # the sign of a point


class PromptShape(TypedDict):
    """One entry of a scene's list. object: its id, 1 if left out; points: [x, y, sign], 1 inside and 0 outside of the
    object; box: [left, top, right, bottom]; mask: a picture beside the file, above 0 on the object."""

    object: NotRequired[int]
    frame: NotRequired[int]
    points: NotRequired[list[list[float]]]
    box: NotRequired[list[float]]
    mask: NotRequired[str]


@dataclass(frozen=True)
class Prompt:
    """What was marked of one object on one frame.

    points: x, y and whether it lies inside; box: left, top, right, bottom; mask: a file; region: pixels (H, W) of the
    object, found and not drawn. A mask and a region stand alone.
    """

    object: int
    frame: int
    points: tuple[tuple[float, float, bool], ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: Path | None = None
    region: BoolArray | None = None


def read_prompts(path: Path, scene: str) -> list[Prompt]:
    """The prompts of a scene in a file: lists of entries by the scene's name. Raises UserError for anything wrong."""
    entries = read_entries(path)
    if scene not in entries:
        raise UserError(f"{path}: no prompts for scene '{scene}'; {nearest(scene, list(entries))}")
    return parse_prompts(entries[scene], path.parent, f"{path}: {scene}")


def read_entries(path: Path) -> dict[str, list[PromptShape]]:
    """A file's entries by scene, of the right types. Raises UserError where it cannot be read."""
    if not path.is_file():
        raise UserError(f"masks.prompts={path}: there is no such file")
    try:
        content = yaml.safe_load(read_limited(path, _MOST_BYTES))
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: neither YAML nor JSON ({why[:160]})") from None
    for name in content if isinstance(content, dict) else ():
        if not isinstance(name, str):
            raise UserError(
                f"{path}: YAML reads the scene's name {name} as a number; put it into quotes"
            )
    check(content, dict[str, list[PromptShape]], str(path))
    entries: dict[str, list[PromptShape]] = content
    return entries


def write_entries(path: Path, entries: Mapping[str, Sequence[PromptShape]]) -> None:
    """Write a file of prompts, by scene, as YAML, a line for each entry."""
    plain = {name: [dict(entry) for entry in of_scene] for name, of_scene in entries.items()}
    text = yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=10_000)
    write_bytes(path, text.encode())


def parse_prompts(entries: Sequence[PromptShape], folder: Path, where: str) -> list[Prompt]:
    """Checked entries. folder: that names of masks are counted from; where: names them in messages."""
    return [
        parse_prompt(entry, folder, f"{where}, entry {number}")
        for number, entry in enumerate(entries, 1)
    ]


def parse_prompt(entry: PromptShape, folder: Path, where: str) -> Prompt:
    """A checked entry. folder: that names of masks are counted from; where: names the entry in messages."""
    points = []
    for point in entry.get("points", []):
        if len(point) != 3 or point[2] not in (_INSIDE, _OUTSIDE):
            raise UserError(
                f"{where}: a point is [x, y, 1] inside or [x, y, 0] outside, not {point}"
            )
        points.append((float(point[0]), float(point[1]), point[2] == _INSIDE))
    box = None
    if "box" in entry:
        corners: Any = tuple(map(float, entry["box"]))
        if len(corners) != 4 or corners[0] >= corners[2] or corners[1] >= corners[3]:
            raise UserError(f"{where}: a box is [left, top, right, bottom], not {entry['box']}")
        box = corners
    mask = folder / entry["mask"] if "mask" in entry else None
    if mask is not None and (points or box):
        raise UserError(f"{where}: a mask stands alone; give points or a box in another entry")
    if mask is None and not points and box is None:
        raise UserError(f"{where}: marks nothing; give points, a box or a mask")
    if mask is not None and not mask.is_file():
        raise UserError(f"{where}: there is no file {mask}")
    number = entry.get("object", 1)
    if not 1 <= number <= _MOST_OBJECTS:
        raise UserError(f"{where}: an object's id is 1 to {_MOST_OBJECTS}, not {number}")
    return Prompt(number, entry.get("frame", 0), tuple(points), box, mask)


def drawn(path: Path) -> BoolArray:
    """The mask (H, W) in a file of the user's; of an indexed picture the index counts, not its colour."""
    with opened(path) as image:
        plain: Image.Image = image if image.mode in _PLAIN_MODES else image.convert("L")
        values: BoolArray = np.asarray(plain) > 0
    return values


def check_prompts(prompts: Sequence[Prompt], frames: Frames, where: str) -> None:
    """Raise UserError for prompts that lie outside of the clip or its images, or that contradict each other."""
    if not prompts:
        raise UserError(f"{where}: marks nothing; give points, a box or a mask of an object")
    seen: set[tuple[int, int]] = set()
    for prompt in prompts:
        if not 0 <= prompt.frame < len(frames):
            raise UserError(
                f"{where}: frame {prompt.frame} is not there; the clip has frames 0 to {len(frames) - 1}"
            )
        if (prompt.object, prompt.frame) in seen:
            raise UserError(
                f"{where}: object {prompt.object} is marked twice on frame {prompt.frame}; put it into one entry"
            )
        seen.add((prompt.object, prompt.frame))
        if prompt.mask is not None:
            with opened(prompt.mask) as image:
                if image.size != (frames.width, frames.height):
                    raise UserError(
                        f"{prompt.mask}: {image.width}x{image.height}, images/ has {frames.width}x{frames.height}; "
                        "a mask must be of that size"
                    )
        corners = [prompt.box[:2], prompt.box[2:]] if prompt.box else []
        for x, y in [*((x, y) for x, y, _ in prompt.points), *corners]:
            if not (0 <= x < frames.width and 0 <= y < frames.height):
                raise UserError(
                    f"{where}: {x:g}, {y:g} lies outside of the images, which are "
                    f"{frames.width}x{frames.height} (x, y in pixels of images/)"
                )
    for number in {prompt.object for prompt in prompts}:
        marks = [p for p in prompts if p.object == number]
        if not any(p.mask or p.box or any(inside for _, _, inside in p.points) for p in marks):
            raise UserError(f"{where}: object {number} has no point inside it, no box and no mask")
