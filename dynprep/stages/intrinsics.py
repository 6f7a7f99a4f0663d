"""The camera's intrinsics: from the data, from the user, else a stated guess."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.errors import UserError
from dynprep.foreign import Malformed, read_json
from dynprep.options import Positive, Range
from dynprep.scene.camera_files import Row, intrinsics_rows
from dynprep.scene.frames import Frames
from dynprep.scene.source import Source
from dynprep.stages.base import NEUTRAL, SceneStage
from dynprep.store import ItemWriter

Degrees = Annotated[float, Range(above=0, below=180)]


@dataclass
class PinholeCamera(SceneStage):
    """Pinhole intrinsics for every frame. ``focal`` and ``file`` are in pixels of the source."""

    fov: Degrees | None
    focal: Positive | None
    file: str | None
    default_fov: Degrees
    shared: bool = field(metadata=NEUTRAL)  # backends that see the camera read it from the context

    makes = Intrinsics
    kind_version = 2
    backend_id = "pinhole"
    is_helper = True

    def __post_init__(self) -> None:
        named = [n for n in ("fov", "focal", "file") if getattr(self, n) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are both set; give one of them")

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def outside(self, source: Source) -> dict[str, str]:
        if self.file is not None:
            return {"camera": _digest(self._read(self.file))}
        if self.fov is None and self.focal is None and source.intrinsics() is not None:
            return {"camera": _digest(source.intrinsics())}
        return {}

    def check(self, source: Source) -> None:
        if self.file is not None:
            probe = source.probe()
            for row in self._read(self.file):
                _check_centre(row, f"camera.file={self.file}", probe.height, probe.width)

    def _read(self, file: str) -> list[list[float]]:
        """One [fx, fy, cx, cy], or one a frame in natural order of its keys."""
        path = Path(file).expanduser()
        try:
            raw = read_json(path, Any)
        except OSError as error:
            raise UserError(f"camera.file={path}: {error.strerror}; check the path") from None
        except Malformed as error:
            raise UserError(f"camera.file={error}") from None
        return intrinsics_rows(raw, f"camera.file={path}")

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        frames = scene.frames
        rows, guess = self._source_rows(scene)
        for frame, row in zip(frames.table, rows, strict=True):
            where = f"intrinsics of frame {frame.stem}"
            _check_centre(row, where, frames.source_height, frames.source_width)
        sx, sy = frames.width / frames.source_width, frames.height / frames.source_height
        # pixel centres are whole numbers: half a pixel is added before scaling and taken off again
        scaled = [
            [fx * sx, fy * sy, (cx + 0.5) * sx - 0.5, (cy + 0.5) * sy - 0.5]
            for fx, fy, cx, cy in rows
        ]
        Intrinsics.write(writer, dict(zip(frames.stems, scaled, strict=True)), guess is None)
        if guess is not None:
            writer.note(
                f"intrinsics are a guess, {guess:g}° across the longer side, where no network sees "
                "them; set camera.fov, camera.focal or camera.file if you know them"
            )

    def _source_rows(self, scene: Scene) -> tuple[list[Row], float | None]:
        """A row for each frame, in pixels of the source; the angle in degrees where it is a guess, else None."""
        frames = scene.frames
        height, width = frames.source_height, frames.source_width
        centre = [(width - 1) / 2, (height - 1) / 2]
        known = scene.source.intrinsics()
        if self.file is not None:
            return self._rows_of_file(self.file, frames), None
        if self.focal is not None:
            return [[self.focal, self.focal, *centre]] * len(frames), None
        if self.fov is None and known is not None:
            return [known[frame.index] for frame in frames.table], None
        degrees = self.fov if self.fov is not None else self.default_fov
        across = width if self.fov is not None else max(width, height)
        focal = across / 2 / math.tan(math.radians(degrees) / 2)
        return [[focal, focal, *centre]] * len(frames), degrees if self.fov is None else None

    def _rows_of_file(self, file: str, frames: Frames) -> list[Row]:
        rows = self._read(file)
        if len(rows) == 1:
            return rows * len(frames)
        if len(rows) == len(frames):
            return rows
        if len(rows) <= max(frame.index for frame in frames.table):
            raise UserError(
                f"camera.file={file}: {len(rows)} entries for {len(frames)} frames; give one, or one "
                "for each frame"
            )
        return [rows[frame.index] for frame in frames.table]

    def disk_bytes(self, frames: Frames) -> int:
        return 200 * len(frames)


def _check_centre(row: Row, where: str, height: int, width: int) -> None:
    """Raise UserError for a principal point far outside of a frame of that size."""
    if not (-width <= row[2] <= 2 * width and -height <= row[3] <= 2 * height):
        raise UserError(
            f"{where}: the principal point {row[2]:g}, {row[3]:g} is far outside of the {width}x{height} frame; "
            "intrinsics are meant in pixels of the source"
        )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
