"""How pages show an artefact: the form of its frames, and its curves over frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Display(Enum):
    """What a frame of an artefact is to a page.

    PICTURE: RGB uint8 (H, W, 3), shown as it is. VALUES: float32 (h, w), which the page colours and reads out, NaN
    where there is none. LABELS: uint8 (H, W), ids of objects, 0 for none. DIRECTIONS: RGB uint8 (H, W, 3) whose colours
    are the components of a unit vector.
    """

    PICTURE = "picture"
    VALUES = "values"
    LABELS = "labels"
    DIRECTIONS = "directions"


@dataclass(frozen=True)
class Curve:
    """Numbers over all frames of a clip, as one chart.

    title: above it; unit: of its values, empty where they have none; lines: by label, a value for every frame, None
    where there is none; marked: numbers of frames that stand out; marks: what these are; share: whether values are
    between 0 and 1, and are drawn so.
    """

    title: str
    unit: str
    lines: Mapping[str, Sequence[float | None]]
    marked: Sequence[int] = field(default_factory=tuple)
    marks: str = ""
    share: bool = False
