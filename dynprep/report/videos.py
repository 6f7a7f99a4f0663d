"""Videos of a run, H.264 in MP4, which browsers and W&B play.

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import cv2

from dynprep.arrays import UInt8Array
from dynprep.files import atomic_path
from dynprep.scene.frames import Frames

_WIDTH = 640  # pixels, at most
_FPS = 12  # slow enough to follow


def write_video(path: Path, pictures: Iterable[UInt8Array], frames: Frames) -> None:
    """Write pictures (H, W, 3), at most 640 pixels wide."""
    import av

    scale = min(1.0, _WIDTH / frames.width)
    # H.264 takes even sides alone
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frames.width, frames.height))
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_FPS, options={"crf": "24", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, picture in enumerate(pictures):
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(small, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
