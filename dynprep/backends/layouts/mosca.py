"""A folder for MoSca's reconstruction (``lib_prior/prior_loading.py``), in place of its own preprocessing.

Shapes: N points, T frames, (H, W) pixels of ``images/``.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import AnyArray, BoolArray, Float32Array, IntArray
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.images import Images
from dynprep.artefacts.layout_files import MoscaFiles
from dynprep.artefacts.masks import ObjectMasks, object_colour
from dynprep.artefacts.tracks import PairTracks
from dynprep.backends.layouts.nerfies_cameras import camera_json, camera_name
from dynprep.backends.layouts.world import HALF, cameras_of, depth
from dynprep.errors import UserError
from dynprep.evenly import evenly
from dynprep.options import AtLeastOne
from dynprep.scene.frames import Frames
from dynprep.stages.base import Stage
from dynprep.stages.layout import LayoutStage, Shown, shown_images
from dynprep.stages.tracks import Tracking
from dynprep.store import ItemWriter
from dynprep.vision.sampling import inside

_NEVER = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the date of a zip's members, so that the same content has the same bytes
_QUICK = 1  # level of compression: higher ones take several times as long
_NAME = "dynprep"  # its reader takes whatever stands there
_STEPS = (1, 3)  # frames over which its profiles look at optical flow
_DEPTH, _UNIFORM, _DYNAMIC = (
    f"{_NAME}_depth",
    f"uniform_dep={_NAME}_{_NAME}_tap.npz",
    f"dynamic_dep={_NAME}_{_NAME}_tap.npz",
)


@dataclass
class MoscaLayout(LayoutStage):
    """``images/``, depth, long tracks over the image and on objects, optical flow, ids, and known cameras."""

    tracks: AtLeastOne
    queries: AtLeastOne

    makes = MoscaFiles
    backend_id = "mosca"
    least_frames = 4  # its profiles look at flow over three frames

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, ObjectMasks, AlignedDisparity, PairTracks, Cameras)

    def check_stages(self, stages: Mapping[str, Stage]) -> None:
        super().check_stages(stages)
        tracks = stages[PairTracks.name]
        if isinstance(tracks, Tracking):
            self._check_tracks(tracks.mask_only, list(tracks.formats), tracks.form().pairs.stride)

    def _check_tracks(self, mask_only: bool, formats: list[str], stride: int) -> None:
        if mask_only or "npy" not in formats or stride != 1:
            raise UserError(
                f"layout={self.name}: it makes optical flow of the tracks of every frame; use flow.mask_only=false, "
                "flow.formats=[npy] and flow.pairs=all or window:K"
            )

    def linked(self, scene: SceneResults) -> Iterator[Shown]:
        yield from shown_images(scene, "images")

    def run(self, scene: SceneResults, writer: ItemWriter) -> None:
        tracks = scene[PairTracks]
        self._check_tracks(
            not tracks.is_full_grid, [*tracks.form.formats], tracks.form.pairs.stride
        )
        # its own bundle adjustment finds cameras where they are not taken from here
        cameras = cameras_of(scene, writer, self.name)
        for number in range(len(scene.frames)):
            content = camera_json(cameras, scene.frames, number)
            writer.json(f"cameras/{camera_name(number)}.json", content)
        # a folder that its reader opens, and that holds no view of another camera
        writer.json("test_cameras/1_00000.json", camera_json(cameras, scene.frames, 0))
        for stem in scene.frames.stems:
            writer.data(f"{_DEPTH}/{stem}.npz", packed(dep=depth(scene, stem)))
            colours = _COLOURS[scene[ObjectMasks].objects(stem)]
            writer.image(f"vos_deva/Annotations/{stem}.png", colours)
        self._write_long_tracks(scene, writer)
        self._write_flow(scene, writer)

    def _write_long_tracks(self, scene: SceneResults, writer: ItemWriter) -> None:
        """Tracks through the clip of points over the whole image, and of points on objects."""
        queries = evenly(scene[PairTracks].queries, self.queries)
        for name, only_objects in ((_UNIFORM, False), (_DYNAMIC, True)):
            count = -(-self.tracks // len(queries))
            rows = {query: self._rows(scene, query, count, only_objects) for query in queries}
            positions, visible = _long_tracks(scene, rows)
            if not positions.shape[1]:
                writer.note(
                    f"layout={self.name}: no object is marked, so there are no tracks on objects"
                )
            # its reader cuts x and y off to whole numbers, which names the pixel where its centre is at 0.5, 0.5
            positions[..., :2] += HALF
            writer.data(name, packed(tracks=positions, visibility=visible))

    def _rows(self, scene: SceneResults, query: int, count: int, only_objects: bool) -> IntArray:
        """Evenly spread rows of a query frame's track files."""
        points = np.rint(scene[PairTracks].query_pixels(query)).astype(int)
        rows = np.arange(len(points))
        if only_objects:
            mask = scene[ObjectMasks].of(scene.frames.stems[query])
            rows = rows[mask[points[:, 1], points[:, 0]]]
        return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]

    def _write_flow(self, scene: SceneResults, writer: ItemWriter) -> None:
        """Dense flow between frames, read between the points of the tracks' grid."""
        frames, tracks = scene.frames, scene[PairTracks]
        for query in tracks.queries:
            for target in (query + d for step in _STEPS for d in (step, -step)):
                if target not in tracks.targets(query):
                    continue
                flow, seen = _dense(tracks, query, target)
                names = [f"{frames.stems[k]}{frames.suffix}" for k in (query, target)]
                content = packed(flow=flow.astype(np.float16), mask=seen.astype(np.float16))
                writer.data(f"flow_raft/{'_to_'.join(names)}.npz", content)

    def bytes_a_frame(self, frames: Frames) -> int:
        return frames.height * frames.width * 36 + 26 * self.tracks


def packed(**arrays: AnyArray) -> bytes:
    """A compressed .npz; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_QUICK) as bundle:
        for name, values in arrays.items():
            with bundle.open(zipfile.ZipInfo(f"{name}.npy", _NEVER), "w") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)
    return buffer.getvalue()


_COLOURS = np.array([object_colour(k) for k in range(256)], np.uint8)  # of ids, 0 is black


def _long_tracks(
    scene: SceneResults, rows: Mapping[int, IntArray]
) -> tuple[Float32Array, BoolArray]:
    """x, y and depth (T, N, 3) of some rows of query frames, and where each is seen and has a depth (T, N)."""
    tracks, count = scene[PairTracks], len(scene.frames)
    points = np.concatenate([tracks.query_pixels(query)[r] for query, r in rows.items()])
    positions = np.zeros((count, len(points), 3), np.float32)
    positions[..., :2] = points
    visible = np.zeros((count, len(points)), bool)
    ends = np.cumsum([len(r) for r in rows.values()]).tolist()
    for target in range(count):
        z = depth(scene, scene.frames.stems[target])
        for (query, chosen), end in zip(rows.items(), ends, strict=True):
            if target not in tracks.targets(query) or not len(chosen):
                continue
            moved = tracks.between(query, target)[chosen]
            own = slice(end - len(chosen), end)
            at = np.rint(moved[:, :2]).astype(int)
            column, row = np.clip(at, 0, np.array(z.shape[::-1]) - 1).T
            positions[target, own, :2] = moved[:, :2]
            positions[target, own, 2] = z[row, column]
            seen = tracks.visible(moved) & inside(moved[:, :2], *scene.frames.size)
            visible[target, own] = seen & (z[row, column] > 0)
    return positions, visible


def _dense(tracks: PairTracks, query: int, target: int) -> tuple[Float32Array, BoolArray]:
    """Flow (H, W, 2) in pixels from a query frame to a target, and where it is seen there (H, W)."""
    frames, rate = tracks.frames, tracks.form.rate
    height, width = frames.size
    rows, columns = -(-height // rate), -(-width // rate)
    moved = tracks.between(query, target)
    shift = (moved[:, :2] - tracks.query_pixels(query)).reshape(rows, columns, 2)
    hidden = moved[:, 2].reshape(rows, columns)
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) / rate for side in (width, height)))
    flow = cv2.remap(shift, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    occlusion = cv2.remap(hidden, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    return flow, (occlusion < tracks.HIDDEN) & inside(grid + flow, height, width)
