"""The demo clip on disk: an ordinary mp4, what a depth sensor would give, and the truth."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from dynprep.arrays import Float32Array, Float64Array, UInt8Array, UInt16Array
from dynprep.scene import demo_world as world
from dynprep.store import ItemWriter

FPS = 24
VIDEO, SENSOR, TRUTH = "demo.mp4", "sensor", "truth"
MILLIMETRES = 1000.0  # the sensor's PNG values a metre
VERSION = 1  # raise it when the rendering changes


@dataclass(frozen=True)
class DemoOptions:
    """Size and length of the clip, the sensor's faults, and the seed of texture and noise."""

    count: int
    height: int
    width: int
    focal: float
    sensor_noise: float
    sensor_range: float
    sensor_holes: float
    seed: int

    @property
    def intrinsics(self) -> Float64Array:
        """[fx, fy, cx, cy] in pixels."""
        focal = self.focal * self.width
        return np.array([focal, focal, (self.width - 1) / 2, (self.height - 1) / 2])

    def time(self, frame: int) -> float:
        """0 at the first frame, 1 at the last."""
        return frame / max(self.count - 1, 1)


def sense(depth: Float32Array, options: DemoOptions, frame: int) -> UInt16Array:
    """What a phone's LiDAR makes of depth (H, W) in metres: noisy depth (H, W) in mm, 0 where there is no return.

    Holes are beyond the range, along depth edges (flying pixels) and in random blots.
    """
    rng = np.random.default_rng([options.seed, frame])
    noisy = depth * (1 + options.sensor_noise * rng.standard_normal(depth.shape))
    edges = cv2.Canny((255 / np.maximum(depth, 1)).astype(np.uint8), 4, 12) > 0
    edges = cv2.dilate(edges.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    blots = cv2.GaussianBlur(rng.standard_normal(depth.shape).astype(np.float32), (0, 0), 4)
    lost = blots > np.quantile(blots, 1 - options.sensor_holes)
    hole = edges | lost | (depth > options.sensor_range)
    return np.where(hole, 0, np.rint(noisy * MILLIMETRES)).astype(np.uint16)


def write_demo(writer: ItemWriter, options: DemoOptions) -> None:
    """Render the clip into ``writer``: the mp4, the sensor's PNGs, depth, labels and poses."""
    import av

    texture = world.make_texture(options.seed)
    size = (options.height, options.width)

    def draw(frame: int) -> tuple[UInt8Array, Float32Array, UInt8Array]:
        return world.render(options.intrinsics, size, options.time(frame), texture)

    video = writer.temporary(VIDEO)
    with (
        ThreadPoolExecutor() as pool,
        av.open(str(video), "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        # one thread and no look-ahead, whose rate control differs from run to run: the same
        # options give the same bytes
        coding = {"qp": "12", "preset": "veryfast", "threads": "1", "tune": "zerolatency"}
        stream = container.add_stream("libx264", rate=FPS, options=coding)
        stream.width, stream.height, stream.pix_fmt = options.width, options.height, "yuv420p"
        for frame, (rgb, depth, labels) in enumerate(pool.map(draw, range(options.count))):
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            picture.pts, picture.time_base = frame, Fraction(1, FPS)
            container.mux(stream.encode(picture))
            writer.array(f"{TRUTH}/depth/{frame:05d}.npy", depth)
            writer.image(f"{TRUTH}/labels/{frame:05d}.png", labels)
            writer.image(f"{SENSOR}/{frame:05d}.png", sense(depth, options, frame))
        container.mux(stream.encode(None))
    writer.take(VIDEO, video)
    bodies = {
        str(k): [world.body_pose(k, options.time(f)).tolist() for f in range(options.count)]
        for k in (world.STATIC, world.BALL, world.CRATE)
    }
    writer.json(
        f"{TRUTH}/truth.json",
        {
            "intrinsics": options.intrinsics.tolist(),
            "camera_to_world": [
                world.camera_pose(options.time(f)).tolist() for f in range(options.count)
            ],
            "body_to_world": bodies,
        },
    )
