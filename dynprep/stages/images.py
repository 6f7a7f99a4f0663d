"""The frames of a scene, all of one size, named as the trainers want them."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

from dynprep.arrays import UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.options import Range
from dynprep.scene.frames import Frame, Frames
from dynprep.scene.resolution import resize, stem_of
from dynprep.scene.source import Source
from dynprep.stages.base import SceneStage
from dynprep.store import ItemWriter

_AHEAD = 4  # frames encoded at once: encoding waits for no disk


@dataclass
class FrameExtraction(SceneStage):
    """Decodes, resizes and names the frames; plain image files of the right size are taken as they are."""

    png_compression: Annotated[int, Range(0, 9)]

    makes = Images
    kind_version = 2
    backend_id = "frames"
    is_helper = True

    def reads(self) -> tuple[type[Artefact], ...]:
        return ()

    def key_options(self) -> dict[str, Any]:
        size = self.context.resolution
        return {
            "short_side": size.short_side,
            "multiple_of": size.multiple_of,
            "upscale": size.upscale,
            "png_compression": self.png_compression,
        }

    def outside(self, source: Source) -> dict[str, str]:
        return {k: str(v) for k, v in source.identity().items()}

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        source = scene.source
        probe = source.probe()
        size = self.context.resolution.target(probe.height, probe.width)
        suffix = source.plain_suffix() if (probe.height, probe.width) == size else None
        table: list[Frame] = []
        waiting: deque[Future[None]] = deque()
        with ThreadPoolExecutor(_AHEAD) as pool:
            for raw in source.frames():
                stem = stem_of(len(table), probe.count)
                table.append(Frame(stem, raw.index, raw.time, raw.name))
                if suffix is not None and raw.file is not None:
                    writer.adopt(f"{stem}{suffix}", *raw.file)
                    continue
                waiting.append(pool.submit(self._encode, writer, f"{stem}.png", raw.image, size))
                if len(waiting) > _AHEAD:
                    waiting.popleft().result()
            for future in waiting:
                future.result()
        if len(table) < probe.count:
            writer.note(f"{probe.count - len(table)} damaged frames were left out")
        frames = Frames(tuple(table), suffix or ".png", *size, probe.height, probe.width)
        Images.write_table(writer, frames)

    def _encode(
        self, writer: ItemWriter, name: str, image: UInt8Array, size: tuple[int, int]
    ) -> None:
        writer.image(name, resize(image, size), self.png_compression)

    def disk_bytes(self, frames: Frames) -> int:
        return 3 * frames.pixels  # PNG is smaller than the pixels
