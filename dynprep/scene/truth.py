"""What is known to be true of a scene: depth, masks, and where points really go."""

from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np

from dynprep.arrays import AnyArray, BoolArray, Float32Array, Float64Array, UInt8Array, check_shapes
from dynprep.errors import UserError
from dynprep.foreign import read_json
from dynprep.scene.array_files import read_numbers
from dynprep.scene.frames import Frames
from dynprep.scene.image_files import opened
from dynprep.scene.pictures import listing
from dynprep.scene.poses import read_poses
from dynprep.vision.sampling import inside, pixel_grid

# a point counts as hidden when something is this share nearer than it
_DEPTH_TOLERANCE = 0.02


_Matrix = list[list[float]]


class _PosesShape(TypedDict):
    """``truth.json``: poses (4, 4) of the camera and, by body, of the bodies in every frame; fx, fy, cx, cy."""

    camera_to_world: list[_Matrix]
    body_to_world: dict[str, list[_Matrix]]
    intrinsics: list[float]


class Truth:
    """A folder with any of ``depth/`` (.npy, metres), ``masks/`` or ``labels/`` (PNG, not 0 is
    object), ``flow/`` (QUERY_TARGET.npy (H, W, 2 or 3): by how many pixels each pixel moves in x and y, NaN where
    unknown, and whether it is seen), ``poses.json`` or another file of poses, and ``truth.json`` (intrinsics and poses,
    as the demo writes them). Frames are counted as in the source, from 0."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; check data.truth")
        self.folder = folder

    @cached_property
    def depths(self) -> list[Path]:
        """Files of depth, in the order of the source frames."""
        return listing(self.folder / "depth", (".npy",)) if (self.folder / "depth").is_dir() else []

    @cached_property
    def labels(self) -> list[Path]:
        """Files of labels or masks, in the order of the source frames."""
        for name in ("labels", "masks"):
            if (self.folder / name).is_dir():
                return listing(self.folder / name, (".png",))
        return []

    @cached_property
    def poses(self) -> dict[str, Float64Array] | None:
        """camera_to_world (T, 4, 4), body_to_world (B, T, 4, 4), intrinsics (4,)."""
        path = self.folder / "truth.json"
        if not path.is_file():
            return None
        raw: _PosesShape = read_json(path, _PosesShape)
        bodies = raw["body_to_world"]
        try:
            poses = {
                "camera_to_world": np.array(raw["camera_to_world"], np.float64),
                "body_to_world": np.array([bodies[str(k)] for k in range(len(bodies))], np.float64),
                "intrinsics": np.array(raw["intrinsics"], np.float64),
            }
            check_shapes(
                camera_to_world=(poses["camera_to_world"], "T 4 4"),
                body_to_world=(poses["body_to_world"], "B T 4 4"),
                intrinsics=(poses["intrinsics"], "4"),
            )
        except (KeyError, ValueError) as error:
            raise UserError(f"{path}: {error}; check data.truth") from None
        return poses

    @cached_property
    def camera_to_world(self) -> Float64Array | None:
        """The true poses (N, 4, 4) of the camera, OpenCV axes; None where they are unknown.

        They are in ``truth.json``, or in a file of poses of any kind that ``poses=file`` reads, named ``poses``.
        """
        if self.poses is not None:
            return self.poses["camera_to_world"]
        file = next((path for path in sorted(self.folder.glob("poses.*")) if path.is_file()), None)
        return None if file is None else read_poses(file).camera_to_world

    @cached_property
    def flows(self) -> dict[tuple[int, int], Path]:
        """Files of flow by query and target frame. Raises UserError for names of another form."""
        folder = self.folder / "flow"
        flows = {}
        for path in listing(folder, (".npy",)) if folder.is_dir() else []:
            query, _, target = path.stem.partition("_")
            if not (query.isdigit() and target.isdigit()):
                raise UserError(
                    f"{path}: name it after its two frames, like 00000_00005.npy; check data.truth"
                )
            flows[int(query), int(target)] = path
        return flows

    def depth_frames(self, frames: Frames) -> bool:
        """Whether there is a depth map for each of the frames."""
        return len(self.depths) > _last_index(frames)

    def labels_frames(self, frames: Frames) -> bool:
        """Whether there is a label map for each of the frames."""
        return len(self.labels) > _last_index(frames)

    def follows(self, frames: Frames) -> bool:
        """Whether it is known where points go, in all of the frames."""
        return bool(self.flows) or (self.poses is not None and self.depth_frames(frames))

    @property
    def knows_hiding(self) -> bool:
        """Whether it is known where points are hidden."""
        shapes = (read_numbers(p).shape for p in self.flows.values())
        return all(shape[-1] == 3 for shape in shapes)

    def tracks(
        self, query: int, target: int, points: Float64Array, size: tuple[int, int]
    ) -> tuple[Float64Array, BoolArray, BoolArray] | None:
        """Where whole pixels ``points`` (N, 2) of images of ``size`` (H, W) go: x, y (N, 2),
        whether each is seen there (N,), and whether both are known (N,). None for an unknown pair,
        or a truth of another size."""
        if self.flows:
            path = self.flows.get((query, target))
            field = None if path is None else read_numbers(path)
            if field is None or field.shape[:2] != size:
                return None
            x, y = points.astype(int).T
            read = field[y, x].astype(np.float64)
            known = np.isfinite(read).all(1)
            seen = read[:, 2] > 0 if read.shape[1] == 3 else known
            return points + np.nan_to_num(read[:, :2]), seen, known
        if self.depth(0).shape != size:
            return None
        return self.follow(query, target, points)

    def check(self) -> None:
        """Raise UserError for what could not be read later."""
        _ = self.camera_to_world
        size: tuple[int, int] | None = None
        for path in self.labels:
            with opened(path) as image:
                image.load()
                size = size or image.size
                if image.size != size:
                    raise UserError(
                        f"{path}: has another size than {self.labels[0].name}; check data.truth"
                    )
        sizes: dict[str, tuple[tuple[int, ...], Path]] = {}
        for path in [*self.depths, *self.flows.values()]:
            shape = read_numbers(path).shape
            first, other = sizes.setdefault(path.parent.name, (shape, path))
            if shape != first:
                raise UserError(
                    f"{path}: its shape is {shape}, that of {other.name} is {first}; check data.truth"
                )
            wanted = ("H, W",) if path.parent.name == "depth" else ("H, W, 2", "H, W, 3")
            if (len(shape) == 2) != (len(wanted) == 1) or (
                len(shape) == 3 and shape[2] not in (2, 3)
            ):
                raise UserError(
                    f"{path}: its shape is {shape}, ({' or '.join(wanted)}) is meant; check data.truth"
                )

        for path in self.flows.values():
            _refuse_positions(read_numbers(path)[..., :2], path)

    def depth(self, frame: int) -> Float32Array:
        """Depth (H, W) in metres of source frame ``frame``."""
        return read_numbers(self.depths[frame])

    def label(self, frame: int) -> UInt8Array:
        """Labels (H, W) of source frame ``frame``; 0 is background, colours are as well."""
        with opened(self.labels[frame]) as image:
            values = np.asarray(image)
        return values if values.ndim == 2 else values.max(-1)

    def follow(
        self, query: int, target: int, points: Float64Array
    ) -> tuple[Float64Array, BoolArray, BoolArray]:
        """Where whole pixels ``points`` (N, 2) of frame ``query`` truly are in ``target``.

        Returns x, y (N, 2) in pixels, whether each is seen there (N,), and whether it is known (N,): a label
        without a pose is of no known body.
        """
        poses = self.poses
        assert poses is not None
        k = poses["intrinsics"]
        x, y = points.astype(int).T
        z = self.depth(query)[y, x].astype(np.float64)
        body = self.label(query)[y, x] if len(self.labels) > query else np.zeros(len(x), np.uint8)
        seen = np.concatenate(
            [(points - k[2:]) / k[:2] * z[:, None], z[:, None], np.ones((len(points), 1))], 1
        )
        cameras, bodies = poses["camera_to_world"], poses["body_to_world"]
        moved = np.zeros_like(seen)
        for b in range(len(bodies)):
            move = np.linalg.inv(cameras[target]) @ bodies[b, target]
            move = move @ np.linalg.inv(bodies[b, query]) @ cameras[query]
            moved[body == b] = seen[body == b] @ move.T
        z_there = np.where(moved[:, 2:3] == 0, 1.0, moved[:, 2:3])
        moved_to = moved[:, :2] / z_there * k[:2] + k[2:]
        depth = self.depth(target)
        height, width = depth.shape
        column = np.clip(np.rint(moved_to[:, 0]), 0, width - 1).astype(int)
        row = np.clip(np.rint(moved_to[:, 1]), 0, height - 1).astype(int)
        surface = depth[row, column]
        visible = inside(moved_to, height, width) & (moved[:, 2] > 0)
        seen_there = visible & (moved[:, 2] <= surface * (1 + _DEPTH_TOLERANCE))
        return moved_to, seen_there, body < len(bodies)


def _refuse_positions(flow: AnyArray, path: Path) -> None:
    """Raise UserError for a flow (H, W, 2) that holds where pixels go to instead of by how much they move."""
    places = pixel_grid(*flow.shape[:2]).reshape(*flow.shape[:2], 2)
    known = np.isfinite(flow).all(-1)
    moves = np.linalg.norm(flow[known], axis=1)
    if len(moves) and np.median(np.linalg.norm((flow - places)[known], axis=1)) < np.median(moves):
        raise UserError(
            f"{path}: holds positions, it seems: its values are nearer to the pixels' own places than to 0; by how "
            "many pixels each pixel moves is meant; check data.truth"
        )


def _last_index(frames: Frames) -> int:
    """The highest number that a frame has in its source."""
    return max(frame.index for frame in frames.table)
