"""Pictures, videos and a point cloud of a run, as files in its folder.

Shapes: (H, W) pixels of ``images/``, N points.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dynprep.arrays import Float32Array
from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import depth_of
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.points import PointTrajectories
from dynprep.cores import cores
from dynprep.evenly import evenly
from dynprep.files import atomic_path
from dynprep.links import place
from dynprep.report.options import LoggerOptions
from dynprep.report.recording import write_recording
from dynprep.report.trajectories import clouds, load_points
from dynprep.report.videos import write_video
from dynprep.store import ItemWriter, Recipe, Result, Store
from dynprep.watch import Watch, no_progress

Draw = Callable[[ItemWriter], None]
_Drawing = tuple[str, list[type[Artefact]], dict[str, int], Draw]  # what, of what, options, how

_CLOUD, _RECORDING = "points.npy", "recording.rrd"
_CLOUD_OF = "point_cloud"  # in the store
_VERSION = 2  # raised when the same results are drawn in another way
_QUALITY = 88  # of JPEG pictures


@dataclass
class SceneMedia:
    """What is shown of one scene.

    pictures: by artefact, (stem, path) of each; videos: by artefact; cloud (N, 6): the middle frame's points; clouds:
    tracked points at some frames; recording: Rerun's.
    """

    scene: str
    pictures: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    videos: dict[str, Path] = field(default_factory=dict)
    cloud: Float32Array | None = None
    clouds: list[Float32Array] = field(default_factory=list)
    recording: Path | None = None


class MediaMaker:
    """Draws a scene's media under ``folder``, each once for all runs that share what it shows."""

    def __init__(
        self, scene: SceneResults, folder: Path, store: Store, watch: Watch = no_progress
    ) -> None:
        self.scene, self.store, self.watch = scene, store, watch
        self.folder = folder / scene.name

    def make(self, stages: Sequence[str], options: LoggerOptions) -> SceneMedia:
        """Everything that there is to show of the stages whose results are complete."""
        media = self.draw(stages, options)
        if options.rerun:
            media.recording = self.folder / _RECORDING
            with atomic_path(media.recording) as temporary:
                write_recording(self.scene.only(stages), temporary)
        return media

    def draw(self, stages: Sequence[str], options: LoggerOptions) -> SceneMedia:
        """Pictures, videos and clouds of some stages, whose results are complete."""
        scene = self.scene
        media = SceneMedia(scene.name)
        artefacts = [Artefact.registry[name] for name in stages]
        stems = {
            artefact.name: evenly(scene[artefact].drawable_stems(), options.samples)
            for artefact in artefacts
            if artefact.picture is not None
        }
        drawn = self._draw(artefacts, stems, options)
        for name, chosen in stems.items():
            if chosen:
                pictures = ((stem, f"{stem}.jpg") for stem in chosen)
                media.pictures[name] = [(s, self._shown(drawn[name], n, name)) for s, n in pictures]
        for artefact in artefacts:
            if (video := drawn.get(_video_of(artefact))) is not None:
                media.videos[artefact.name] = self._shown(video, _video_file(artefact))
        if (cloud := drawn.get(_CLOUD_OF)) is not None:
            self._shown(cloud, _CLOUD)
            media.cloud = cloud.array(_CLOUD)
        if PointTrajectories in artefacts:
            at = [scene.number(stem) for stem in evenly(scene.frames.stems, options.samples)]
            media.clouds = clouds(load_points(scene, options.points), at)
        return media

    def _draw(
        self,
        artefacts: Sequence[type[Artefact]],
        stems: Mapping[str, Sequence[str]],
        options: LoggerOptions,
    ) -> dict[str, Result]:
        """All that is drawn, by what it is called in the store; several things at a time."""
        scene = self.scene
        todo: list[_Drawing] = [
            (artefact.name, [artefact], {"samples": options.samples}, partial(_draw_pictures, scene, artefact, chosen))
            for artefact in artefacts
            if (chosen := stems.get(artefact.name))
        ]  # fmt: skip
        frames = {"frames": options.video_frames}
        for artefact in artefacts:
            if artefact.video_title and stems.get(artefact.name):
                draw = partial(_draw_video, scene, artefact, options.video_frames)
                todo.append((_video_of(artefact), [artefact], frames, draw))
        if AlignedDisparity in artefacts and MetricDisparity in scene:
            read: list[type[Artefact]] = [AlignedDisparity, MetricDisparity]
            draw = partial(_draw_cloud, scene, options.points)
            todo.append((_CLOUD_OF, read, {"points": options.points}, draw))
        drawn = {}
        with ThreadPoolExecutor(cores()) as pool, self.watch("pictures", len(todo)) as advance:
            results = pool.map(lambda one: self._cached(*one), todo)
            for (what, *_), result in zip(todo, results, strict=True):
                drawn[what] = result
                advance(1)
        return drawn

    def _cached(
        self, what: str, read: Sequence[type[Artefact]], options: dict[str, int], draw: Draw
    ) -> Result:
        artefacts: list[type[Artefact]] = [*read, Images]
        keys = {artefact.name: self.scene.key(artefact) for artefact in artefacts}
        recipe = Recipe("media", what, kind_version=_VERSION, options=options, inputs=keys)
        return self.store.cached(recipe, draw)

    def _shown(self, result: Result, name: str, inner: str = "") -> Path:
        """Copy a file of a result into the run's folder, where people may do with it what they like."""
        path = self.folder / inner / name
        place(result.checked_file(name), path, "copy")
        return path


def _draw_pictures(
    scene: SceneResults, artefact: type[Artefact], stems: Sequence[str], writer: ItemWriter
) -> None:
    reader = scene[artefact]
    assert reader.picture is not None
    for stem in stems:
        buffer = io.BytesIO()
        picture = reader.picture(scene, stem)
        Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY)
        writer.data(f"{stem}.jpg", buffer.getvalue())


def _video_of(artefact: type[Artefact]) -> str:
    """What an artefact's video is called in the store."""
    return f"{artefact.name}_video"


def _video_file(artefact: type[Artefact]) -> str:
    return f"{artefact.name}.mp4"


def _draw_video(
    scene: SceneResults, artefact: type[Artefact], frames: int, writer: ItemWriter
) -> None:
    name = _video_file(artefact)
    temporary = writer.temporary(name)
    write_video(temporary, scene[artefact].video(scene, frames), scene.frames)
    writer.take(name, temporary)


def _draw_cloud(scene: SceneResults, points: int, writer: ItemWriter) -> None:
    middle = scene.frames.stems[len(scene.frames) // 2]
    writer.array(_CLOUD, point_cloud(scene, middle, points))


def point_cloud(scene: SceneResults, stem: str, points: int) -> Float32Array:
    """The points of a frame (N, 6): x, y up, z towards the viewer, in metres in camera space, and r, g, b in 0..255."""
    disparity = scene[AlignedDisparity].of(stem)
    fx, fy, cx, cy = scene[MetricDisparity].intrinsics(stem)
    depth_m = depth_of(disparity)
    valid = disparity > 0
    if valid.any():  # a few absurd depths would hide the rest
        low, high = np.quantile(depth_m[valid], [0.01, 0.98])
        valid &= (depth_m >= low) & (depth_m <= high)
    rows, columns = np.nonzero(valid)
    step = max(1, len(rows) // points)
    rows, columns = rows[::step], columns[::step]
    z = depth_m[rows, columns]
    x, y = (columns - cx) / fx * z, (rows - cy) / fy * z
    colours = scene[Images].rgb(stem)[rows, columns]
    return np.concatenate([np.stack([x, -y, -z], 1), colours], 1).astype(np.float32)
