"""The camera's intrinsics: from the data, from the user, else a stated guess."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dynprep.errors import UserError
from dynprep.scene.pictures import natural
from dynprep.scene.source import Source
from dynprep.stages.base import NEUTRAL, Stage
from dynprep.stages.inputs import Frames, Inputs
from dynprep.store import ItemWriter

INTRINSICS, KNOWN = "intrinsics.json", "known.json"
Values = dict[str, list[float]]


@dataclass
class Camera(Stage[Inputs, tuple[Values, str]]):
    """Pinhole intrinsics for every frame. ``focal`` and ``file`` are in pixels of the source."""

    fov: float | None
    focal: float | None
    file: str | None
    default_fov: float
    shared: bool = field(metadata=NEUTRAL)  # read by backends that see the camera themselves

    name = "intrinsics"
    version = 2
    whole = True

    def __post_init__(self) -> None:
        given = [n for n in ("fov", "focal", "file") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both set; give one of them")
        for name in ("fov", "default_fov"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 180:
                raise ValueError(f"{name} is {value}; degrees between 0 and 180 are meant")
        if self.focal is not None and self.focal <= 0:
            raise ValueError(f"focal is {self.focal}; it must be above 0 pixels")

    def needs(self) -> tuple[str, ...]:
        return ("images",)

    def outside(self, source: Source) -> dict[str, str]:
        if self.file is not None:
            return {"camera": _digest(self._read(self.file))}
        if self.fov is None and self.focal is None and source.intrinsics() is not None:
            return {"camera": _digest(source.intrinsics())}
        return {}

    def check(self, source: Source) -> None:
        if self.file is not None:
            self._read(self.file)

    def _read(self, file: str) -> list[list[float]]:
        """One [fx, fy, cx, cy], or one a frame in natural order of its keys."""
        path = Path(file).expanduser()
        try:
            raw = json.loads(path.read_text())
        except OSError as error:
            raise UserError(f"camera.file={path}: {error.strerror}; check the path") from None
        except ValueError as error:
            raise UserError(f"camera.file={path}: not JSON ({error})") from None
        rows = (
            [raw[key] for key in sorted(raw, key=lambda k: natural(Path(k)))]
            if isinstance(raw, dict)
            else [raw]
        )
        for row in rows:
            good = isinstance(row, list) and len(row) == 4
            if not good or not all(isinstance(v, int | float) and math.isfinite(v) for v in row):
                raise UserError(f"camera.file={path}: {row} is not [fx, fy, cx, cy] in pixels")
            if min(row[:2]) <= 0:
                raise UserError(f"camera.file={path}: {row}: focal lengths must be above 0 pixels")
        return rows

    def load(self, inputs: Inputs, item: str) -> Inputs:
        return inputs

    def compute(self, samples: Sequence[Inputs]) -> list[tuple[Values, str]]:
        return [self._of_scene(inputs) for inputs in samples]

    def _of_scene(self, inputs: Inputs) -> tuple[Values, str]:
        frames = inputs.frames
        height, width = frames.source_height, frames.source_width
        centre = [(width - 1) / 2, (height - 1) / 2]
        note = ""
        known = inputs.source.intrinsics()
        if self.file is not None:
            rows = self._read(self.file)
            if len(rows) == 1:
                rows = rows * len(frames)
            elif len(rows) != len(frames):
                last = max(frame.index for frame in frames.table)
                if len(rows) <= last:
                    raise UserError(
                        f"camera.file={self.file}: {len(rows)} entries for {len(frames)} frames; "
                        "give one, or one for each frame"
                    )
                rows = [rows[frame.index] for frame in frames.table]
        elif self.focal is not None:
            rows = [[self.focal, self.focal, *centre]] * len(frames)
        elif self.fov is not None or known is None:
            degrees = self.fov if self.fov is not None else self.default_fov
            across = width if self.fov is not None else max(width, height)
            focal = across / 2 / math.tan(math.radians(degrees) / 2)
            rows = [[focal, focal, *centre]] * len(frames)
            if self.fov is None:
                note = (
                    f"intrinsics are a guess, {degrees:g}° across the longer side, where no network sees "
                    "them; set camera.fov, camera.focal or camera.file if you know them"
                )
        else:
            rows = [known[frame.index] for frame in frames.table]
        sx, sy = frames.width / width, frames.height / height
        scaled = [
            [fx * sx, fy * sy, (cx + 0.5) * sx - 0.5, (cy + 0.5) * sy - 0.5]
            for fx, fy, cx, cy in rows
        ]
        return dict(zip(frames.stems, scaled, strict=True)), note

    def write(
        self, writer: ItemWriter, inputs: Inputs, item: str, output: tuple[Values, str]
    ) -> None:
        values, note = output
        writer.json(INTRINSICS, values)
        writer.json(KNOWN, not note)
        if note:
            writer.note(note)

    def disk_bytes(self, frames: Frames) -> int:
        return 200 * len(frames)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
