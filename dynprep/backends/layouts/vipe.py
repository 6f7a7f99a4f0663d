"""ViPE's artefacts (``vipe/utils/io.py``), for programs that read its results.

Shapes: T frames, (H, W) pixels of ``images/``.
"""

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.images import Images
from dynprep.artefacts.layout_files import VipeFiles
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.layouts.world import HALF, cameras_of, depth
from dynprep.scene.frames import Frames
from dynprep.stages.layout import LayoutStage
from dynprep.store import ItemWriter

_NEVER = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the date of a zip's members, so that the same content has the same bytes
_FPS = 24  # where the source does not tell times
_MOST_FPS = 240
_FINE = "12"  # H.264's rate factor at which one hardly sees a difference
_SCENE = "scene"  # stands for the scene's name in a result, which does not depend on it


@dataclass
class VipeLayout(LayoutStage):
    """``pose/``, ``intrinsics/``, ``depth/``, ``mask/`` and ``rgb/``, one file a scene in each."""

    makes = VipeFiles
    backend_id = "vipe"
    packages = ("OpenEXR",)

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, ObjectMasks, AlignedDisparity, Cameras)

    def placed(self, name: str, scene: SceneResults) -> str:
        folder, _, rest = name.partition("/")
        return f"{folder}/{scene.name}{rest.removeprefix(_SCENE)}"

    def run(self, scene: SceneResults, writer: ItemWriter) -> None:
        cameras = cameras_of(scene, writer, self.name, needs_motion=False)
        stems = scene.frames.stems
        numbers = np.arange(len(stems))
        poses = cameras.camera_to_world.astype(np.float32)
        writer.arrays(f"pose/{_SCENE}.npz", data=poses, inds=numbers)
        rows = (cameras.intrinsics + np.array([0, 0, HALF, HALF])).astype(np.float32)
        writer.arrays(f"intrinsics/{_SCENE}.npz", data=rows, inds=numbers)
        kinds = "".join(f"{k}: PINHOLE\n" for k in numbers)
        writer.data(f"intrinsics/{_SCENE}_camera.txt", kinds.encode())
        maps = (exr(depth(scene, stem), writer.temporary("frame.exr")) for stem in stems)
        self._zip(writer, "depth", "exr", maps)
        masks = (_grey_png(scene[ObjectMasks].objects(stem)) for stem in stems)
        self._zip(writer, "mask", "png", masks)
        ids = sorted({int(k) for s in stems for k in np.unique(scene[ObjectMasks].objects(s))})
        phrases = "".join(f"{k}: object {k}\n" for k in ids if k)
        writer.data(f"mask/{_SCENE}.txt", phrases.encode())
        self._write_video(scene, writer)

    def _zip(self, writer: ItemWriter, folder: str, suffix: str, contents: Iterable[bytes]) -> None:
        """A zip with one file a frame, called by its number."""
        temporary = writer.temporary(f"{folder}.zip")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as bundle:
            for number, content in enumerate(contents):
                bundle.writestr(zipfile.ZipInfo(f"{number:05d}.{suffix}", _NEVER), content)
        (writer.folder / folder).mkdir(exist_ok=True)
        writer.take(f"{folder}/{_SCENE}.zip", temporary)

    def _write_video(self, scene: SceneResults, writer: ItemWriter) -> None:
        """H.264 of the frames at their own size; its chroma is halved where both sides are even.

        Without macroblock trees (``mbtree``): what they decide depends on what lay in memory before.
        """
        import av

        height, width = scene.frames.size
        times = np.diff([frame.time for frame in scene.frames.table])
        usable = len(times) and np.isfinite(times).all() and np.median(times) > 1 / _MOST_FPS
        rate = Fraction(1 / float(np.median(times))).limit_denominator(1001) if usable else _FPS
        temporary = writer.temporary("rgb.mp4")
        with av.open(str(temporary), "w", format="mp4") as container:
            stream = container.add_stream(
                "libx264", rate=rate, options={"crf": _FINE, "threads": "1", "mbtree": "0"}
            )
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
            for number, stem in enumerate(scene.frames.stems):
                frame = av.VideoFrame.from_ndarray(scene[Images].rgb(stem), format="rgb24")
                frame.pts, frame.time_base = number, 1 / Fraction(rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        (writer.folder / "rgb").mkdir(exist_ok=True)
        writer.take(f"rgb/{_SCENE}.mp4", temporary)

    def bytes_a_frame(self, frames: Frames) -> int:
        return frames.height * frames.width * 5


def _grey_png(ids: UInt8Array) -> bytes:
    """Objects' ids (H, W) as grey values: a palette would be read as colours."""
    buffer = io.BytesIO()
    Image.fromarray(ids).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def exr(z: Float32Array, temporary: Path) -> bytes:
    """Depth (H, W) as an OpenEXR file with the half-precision channel Z; 0 is no depth.

    temporary: a path to write to.
    """
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    half = np.minimum(z, np.finfo(np.float16).max).astype(np.float16)
    OpenEXR.File(header, {"Z": np.ascontiguousarray(half)}).write(str(temporary))
    content = temporary.read_bytes()
    temporary.unlink()
    return content
