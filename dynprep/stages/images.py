"""The frames of a scene, all of one size, named as the trainers want them."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dynprep.scene.source import Probe, Source
from dynprep.stages.base import Stage, pixels
from dynprep.stages.inputs import FRAMES, Frame, Frames, Inputs
from dynprep.store import ItemWriter

_FEWEST_DIGITS = 5  # of a stem
_AHEAD = 4  # frames encoded at once: encoding waits for no disk


@dataclass
class Resolution:
    """The size of ``images/`` and the sizes that backends work at, in pixels."""

    short_side: int | None
    multiple_of: int
    upscale: bool
    depth_input: int
    prior_input: int
    flow_input: int
    motion_input: int

    def __post_init__(self) -> None:
        for name in ("multiple_of", "depth_input", "prior_input", "flow_input", "motion_input"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.short_side is not None and self.short_side < 16:
            raise ValueError(f"short_side is {self.short_side}; it must be at least 16, or null")

    def target(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) of ``images/`` for a source of this size."""
        scale = 1.0 if self.short_side is None else self.short_side / min(height, width)
        if scale > 1 and not self.upscale:
            scale = 1.0

        def fit(side: int) -> int:
            return max(1, round(side * scale / self.multiple_of)) * self.multiple_of

        return fit(height), fit(width)


def work_size(frames: Frames, longest: int) -> tuple[int, int]:
    """(h, w) of ``images/`` brought to at most ``longest`` pixels on the long side."""
    scale = min(1.0, longest / max(frames.height, frames.width))
    return max(1, round(frames.height * scale)), max(1, round(frames.width * scale))


def resize(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """``image`` at (h, w): areas averaged when smaller, bicubic when larger."""
    if image.shape[:2] == size:
        return image
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(image, size[::-1], interpolation=how)


def expected(probe: Probe, resolution: Resolution) -> Frames:
    """The table of frames as far as headers tell, for estimates."""
    height, width = resolution.target(probe.height, probe.width)
    digits = max(_FEWEST_DIGITS, len(str(probe.count - 1)))
    table = tuple(Frame(f"{k:0{digits}d}", k, 0.0, f"frame {k}") for k in range(probe.count))
    return Frames(table, ".png", height, width, probe.height, probe.width)


@dataclass
class Images(Stage[tuple[Source, Probe], None]):
    """Decodes, resizes and names the frames; plain image files of the right size are linked."""

    resolution: Resolution
    png_compression: int

    name = "images"
    version = 1
    whole = True

    def __post_init__(self) -> None:
        if not 0 <= self.png_compression <= 9:
            raise ValueError(f"png_compression is {self.png_compression}, not in 0..9")

    def needs(self) -> tuple[str, ...]:
        return ()

    def options(self) -> dict[str, Any]:
        size = self.resolution
        return {
            "short_side": size.short_side,
            "multiple_of": size.multiple_of,
            "upscale": size.upscale,
            "png_compression": self.png_compression,
        }

    def outside(self, source: Source) -> dict[str, str]:
        return {k: str(v) for k, v in source.identity().items()}

    def load(self, inputs: Inputs, item: str) -> tuple[Source, Probe]:
        return inputs.source, inputs.source.probe()

    def compute(self, samples: Sequence[tuple[Source, Probe]]) -> list[None]:
        return [None for _ in samples]

    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: None) -> None:
        probe = inputs.source.probe()
        size = self.resolution.target(probe.height, probe.width)
        digits = max(_FEWEST_DIGITS, len(str(probe.count - 1)))
        suffix = self._linked_suffix(inputs.source, size)
        table: list[Frame] = []
        waiting: deque[Future[None]] = deque()
        with ThreadPoolExecutor(_AHEAD) as pool:
            for raw in inputs.source.frames():
                frame = Frame(f"{len(table):0{digits}d}", raw.index, raw.time, raw.name)
                table.append(frame)
                if suffix is not None and raw.file is not None:
                    writer.adopt(f"{frame.stem}{suffix}", raw.file)
                    continue
                name = f"{frame.stem}.png"
                waiting.append(pool.submit(self._encode, writer, name, raw.image, size))
                if len(waiting) > _AHEAD:
                    waiting.popleft().result()
            for future in waiting:
                future.result()
        if len(table) < probe.count:
            writer.note(f"{probe.count - len(table)} damaged frames were left out")
        frames = Frames(tuple(table), suffix or ".png", *size, probe.height, probe.width)
        writer.json(FRAMES, asdict(frames))

    def _encode(
        self, writer: ItemWriter, name: str, image: NDArray[np.uint8], size: tuple[int, int]
    ) -> None:
        writer.image(name, resize(image, size), self.png_compression)

    def _linked_suffix(self, source: Source, size: tuple[int, int]) -> str | None:
        """The one suffix of all files if every frame can be taken as it is, else None."""
        suffixes: set[str] = set()
        for raw in source.frames():
            if raw.file is None or raw.image.shape[:2] != size:
                return None
            suffixes.add(raw.file.suffix.lower().replace(".jpeg", ".jpg"))
        return suffixes.pop() if len(suffixes) == 1 else None

    def disk_bytes(self, frames: Frames) -> int:
        return 3 * pixels(frames)  # PNG is smaller than the pixels
