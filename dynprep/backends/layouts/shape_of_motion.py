"""A folder for Shape of Motion's trainer on clips of one's own (``flow3d/data/casual_dataset.py``).

Shapes: N points, T frames, (H, W) pixels of ``images/``.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dynprep.arrays import BoolArray
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras, CameraSet
from dynprep.artefacts.images import Images
from dynprep.artefacts.layout_files import ShapeOfMotionFiles
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.tracks import PairTracks, pair_name
from dynprep.backends.layouts.world import cameras_of
from dynprep.errors import UserError
from dynprep.evenly import evenly
from dynprep.options import AtLeastOne
from dynprep.scene.frames import Frames
from dynprep.stages.base import Stage
from dynprep.stages.layout import LayoutStage, Shown, shown_images, shown_maps
from dynprep.stages.masks import finds_objects
from dynprep.stages.tracks import Tracking
from dynprep.store import ItemWriter

_TRACKS, _CAMERAS, _INTRINSICS = "bootstapir", "droid_recon", "unidepth_intrins"
_SCENE = "scene"  # stands for the scene's name in a result, which does not depend on it
_HIDDEN = np.array([[0, 0, 1, 0]], np.float32)  # a track that is seen nowhere and certain nowhere
_EMPTY = 1e-3  # share of a clip's pixels without disparity that is said
_ZOOM = 0.01  # share by which focal lengths may differ between frames without a word


@dataclass
class ShapeOfMotionLayout(LayoutStage):
    """Type first, scene second: ``images/SCENE/``, ``masks/SCENE/`` and so on, in a folder of the scene's own."""

    key_frames: AtLeastOne

    makes = ShapeOfMotionFiles
    backend_id = "shape_of_motion"
    least_frames = 10  # its reader looks at every (T // 10)-th frame

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, ObjectMasks, AlignedDisparity, MetricDisparity, PairTracks, Cameras)

    def check_stages(self, stages: Mapping[str, Stage]) -> None:
        super().check_stages(stages)
        if not finds_objects(stages[ObjectMasks.name]):
            raise UserError(
                f"layout={self.name}: its trainer takes what moves from the object masks, and there are none; choose "
                "masks=motion, masks=sam2_large or masks=folder"
            )
        tracks = stages[PairTracks.name]
        if isinstance(tracks, Tracking):
            self._check_tracks(tracks.pairs, list(tracks.formats))

    def _check_tracks(self, pairs: str, formats: list[str]) -> None:
        if pairs != "all" or "npy" not in formats:
            raise UserError(
                f"layout={self.name}: its reader wants tracks of every pair of frames; use flow.pairs=all and "
                "flow.formats=[npy]"
            )

    def linked(self, scene: SceneResults) -> Iterator[Shown]:
        name = scene.name
        yield from shown_images(scene, f"images/{name}")
        yield from shown_maps(scene, ObjectMasks, f"masks/{name}", ".png")
        yield from shown_maps(scene, AlignedDisparity, f"aligned_depth_anything/{name}", ".npy")
        if self._are_as_wanted(scene):
            for files in scene[PairTracks].linked().values():
                for file in files:
                    if file.endswith(".npy"):
                        yield Shown(f"{_TRACKS}/{name}/{file}", PairTracks, file)

    def placed(self, name: str, scene: SceneResults) -> str:
        folder, _, rest = name.partition("/")
        if folder == _TRACKS:
            return f"{folder}/{scene.name}/{rest}"
        return f"{folder}/{scene.name}{rest.removeprefix(_SCENE)}"

    def run(self, scene: SceneResults, writer: ItemWriter) -> None:
        cameras = cameras_of(scene, writer, self.name)
        form = scene[PairTracks].form
        self._check_tracks(
            "all" if form.pairs.window is None and form.pairs.stride == 1 else "", [*form.formats]
        )
        writer.data(f"{_CAMERAS}/{_SCENE}.npy", self._droid(scene.frames, cameras, writer))
        (rows,) = scene[MetricDisparity].composed().values()
        writer.json(f"{_INTRINSICS}/{_SCENE}.json", rows)
        empty = np.mean([(scene[AlignedDisparity].of(s) <= 0).mean() for s in scene.frames.stems])
        if empty > _EMPTY:
            writer.note(
                f"layout={self.name}: {empty:.1%} of the pixels have no disparity, which its reader takes for a depth "
                "of 1e6; alignment.below_floor=clamp leaves none"
            )
        count = 0 if self._are_as_wanted(scene) else self._write_tracks(scene, writer)
        if count == 0 and not any(scene[ObjectMasks].of(s).any() for s in scene.frames.stems):
            raise UserError(
                f"{scene.name}: layout={self.name}: the object masks are empty on every frame, and its trainer takes "
                "what moves from them; mark the object with masks=propagate or masks=sam2_large"
            )

    def _are_as_wanted(self, scene: SceneResults) -> bool:
        """Whether the tracks are written as its reader wants them: object pixels alone, scores as logits."""
        options = scene[PairTracks].files.options
        return bool(
            options["mask_only"]
            and not options["mask_margin"]
            and options["scores"] == "logit"
            and options["dtype"] == "float32"
            and all(len(scene[PairTracks].query_pixels(q)) for q in scene[PairTracks].queries)
        )

    def _write_tracks(self, scene: SceneResults, writer: ItemWriter) -> int:
        """Tracks of the pixels of the object mask, scores as logits; returns how many points there are."""
        tracks = scene[PairTracks]
        form = replace(tracks.form, scores="logit", dtype="float32")
        count = 0
        for query in tracks.queries:
            chosen = _on_object(tracks, scene[ObjectMasks].of(scene.frames.stems[query]), query)
            count += int(chosen.sum())
            for target in tracks.targets(query):
                name = pair_name(scene.frames, query, target)
                rows = tracks.between(query, target)[chosen]
                # its reader stops at a frame without a track
                rows = rows if len(rows) else _HIDDEN
                writer.array(f"{_TRACKS}/{name}.npy", form.encoded(rows))
        return count

    def _droid(self, frames: Frames, cameras: CameraSet, writer: ItemWriter) -> bytes:
        """The cameras as DROID-SLAM's script pickles them: the one file here that has to be a pickle."""
        middle = np.median(cameras.intrinsics, axis=0)
        zoom = np.abs(cameras.intrinsics[:, :2] / middle[:2] - 1).max()
        if zoom > _ZOOM:
            writer.note(
                f"layout={self.name}: focal lengths differ by up to {zoom:.0%} between frames; its reader takes one "
                "camera, the median"
            )
        content = {
            "traj_c2w": cameras.camera_to_world.astype(np.float32),
            "img_shape": frames.size,
            "intrinsics": middle,  # its reader has pixel centres at whole numbers, as tracks do
            "tstamps": np.array(evenly(range(len(frames)), self.key_frames)),
        }
        buffer = io.BytesIO()
        np.save(buffer, np.array(content, dtype=object), allow_pickle=True)
        return buffer.getvalue()

    def disk_bytes(self, frames: Frames) -> int:
        per_pair = (
            16 * frames.height * frames.width // 16
        )  # of a grid of 4, if objects fill the image
        return super().disk_bytes(frames) + per_pair * len(frames) ** 2


def _on_object(tracks: PairTracks, mask: BoolArray, query: int) -> BoolArray:
    """Which of a query frame's points (N,) lie on its object mask (H, W)."""
    column, row = np.rint(tracks.query_pixels(query)).astype(int).T
    chosen: BoolArray = mask[row, column]
    return chosen
