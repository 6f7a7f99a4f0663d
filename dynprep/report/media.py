"""Pictures, a track video and a point cloud of a run, as files in its folder.

Shapes: (H, W) pixels of ``images/``, N points.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dynprep.arrays import Float32Array
from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.alignment import AlignedDisparity, AlignmentFits
from dynprep.artefacts.drawing import draw_points, start_colours
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import depth_of
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.points import PointTrajectories
from dynprep.artefacts.tracks import PairTracks
from dynprep.cores import cores
from dynprep.files import atomic_path
from dynprep.links import place
from dynprep.report.curves import alignment_svg
from dynprep.report.trajectories import clouds, load_points, page_data, write_recording
from dynprep.store import ItemWriter, Recipe, Result, Store

Draw = Callable[[ItemWriter], None]
_Drawing = tuple[str, list[type[Artefact]], dict[str, int], Draw]  # what, of what, options, how

VIDEO, CLOUD, CHART = "tracks.mp4", "points.npy", "alignment.svg"
_CHART_OF, _VIDEO_OF, _CLOUD_OF = "alignment_chart", "track_video", "point_cloud"  # in the store
_VERSION = 1  # raised when the same results are drawn in another way
_VIDEO_WIDTH = 640  # pixels, at most
_QUALITY = 88  # of JPEG pictures
_FPS = 12  # of the track video: slow enough to follow


@dataclass
class SceneMedia:
    """What is shown of one scene.

    pictures: by artefact, (stem, path) of each; video: the tracks of the middle frame; cloud (N, 6): the middle
    frame's points; clouds: tracked points at some frames; trajectories: the page viewer's JSON; recording: Rerun's;
    alignment: the fits' chart, an SVG.
    """

    scene: str
    pictures: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    video: Path | None = None
    cloud: Float32Array | None = None
    clouds: list[Float32Array] = field(default_factory=list)
    trajectories: str | None = None
    recording: Path | None = None
    alignment: str | None = None


def sampled(stems: Sequence[str], count: int) -> list[str]:
    """``count`` evenly spaced stems, first and last included."""
    if not stems:
        return []
    at = np.unique(np.linspace(0, len(stems) - 1, min(count, len(stems))).round().astype(int))
    return [stems[k] for k in at]


class MediaMaker:
    """Draws a scene's media under ``folder``, each once for all runs that share what it shows."""

    def __init__(self, scene: SceneResults, folder: Path, store: Store) -> None:
        self.scene, self.store = scene, store
        self.folder = folder / scene.name

    def make(self, stages: Sequence[str], samples: int, points: int, rerun: bool) -> SceneMedia:
        """Everything that there is to show.

        stages: names of those whose results are complete; samples: frames shown of each; points: of clouds, at most;
        rerun: whether a recording is written.
        """
        scene = self.scene
        media = SceneMedia(scene.name)
        artefacts = [Artefact.registry[name] for name in stages]
        stems = {
            artefact.name: sampled(scene[artefact].drawable_stems(), samples)
            for artefact in artefacts
            if artefact.picture is not None
        }
        drawn = self._draw(artefacts, stems, samples, points)
        for name, chosen in stems.items():
            if chosen:
                pictures = ((stem, f"{stem}.jpg") for stem in chosen)
                media.pictures[name] = [(s, self._shown(drawn[name], n, name)) for s, n in pictures]
        if (chart := drawn.get(_CHART_OF)) is not None:
            media.alignment = chart.bytes(CHART).decode()
        if (video := drawn.get(_VIDEO_OF)) is not None:
            media.video = self._shown(video, VIDEO)
        if (cloud := drawn.get(_CLOUD_OF)) is not None:
            self._shown(cloud, CLOUD)
            media.cloud = cloud.array(CLOUD)
        if PointTrajectories in artefacts:
            media.trajectories = page_data(scene)
            at = [scene.number(stem) for stem in sampled(scene.frames.stems, samples)]
            media.clouds = clouds(load_points(scene, points), at)
            if rerun:
                media.recording = self.folder / "points.rrd"
                with atomic_path(media.recording) as temporary:
                    write_recording(scene, temporary)
        return media

    def _draw(
        self,
        artefacts: Sequence[type[Artefact]],
        stems: Mapping[str, Sequence[str]],
        samples: int,
        points: int,
    ) -> dict[str, Result]:
        """All that is drawn, by what it is called in the store; several things at a time."""
        scene = self.scene
        todo: list[_Drawing] = [
            (artefact.name, [artefact], {"samples": samples}, partial(_draw_pictures, scene, artefact, chosen))
            for artefact in artefacts
            if (chosen := stems.get(artefact.name))
        ]  # fmt: skip
        if AlignmentFits in artefacts and scene[AlignmentFits].report:
            todo.append((_CHART_OF, [AlignmentFits], {}, partial(_draw_chart, scene)))
        if PairTracks in artefacts and scene[PairTracks].is_readable:
            todo.append((_VIDEO_OF, [PairTracks], {}, partial(_draw_video, scene)))
        if AlignedDisparity in artefacts and MetricDisparity in artefacts:
            read: list[type[Artefact]] = [AlignedDisparity, MetricDisparity]
            todo.append((_CLOUD_OF, read, {"points": points}, partial(_draw_cloud, scene, points)))
        with ThreadPoolExecutor(cores()) as pool:
            results = pool.map(lambda one: self._cached(*one), todo)
            return {what: result for (what, *_), result in zip(todo, results, strict=True)}

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


def _draw_chart(scene: SceneResults, writer: ItemWriter) -> None:
    writer.data(CHART, alignment_svg(dict(scene[AlignmentFits].report)).encode())


def _draw_video(scene: SceneResults, writer: ItemWriter) -> None:
    temporary = writer.temporary(VIDEO)
    track_video(scene, temporary)
    writer.take(VIDEO, temporary)


def _draw_cloud(scene: SceneResults, points: int, writer: ItemWriter) -> None:
    middle = scene.frames.stems[len(scene.frames) // 2]
    writer.array(CLOUD, point_cloud(scene, middle, points))


def track_video(scene: SceneResults, path: Path) -> None:
    """Write the middle frame's points through the clip as H.264, coloured by where they start."""
    import av

    frames, tracks = scene.frames, scene[PairTracks]
    query = tracks.queries[len(tracks.queries) // 2]
    start, rows = tracks.thinned(query)
    colours = start_colours(start[:, :2], frames.width, frames.height)
    scale = min(1.0, _VIDEO_WIDTH / frames.width)
    # H.264 takes even sides alone
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frames.width, frames.height))
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_FPS, options={"crf": "24", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, target in enumerate(tracks.targets(query)):
            picture = (scene[Images].rgb(frames.stems[target]) * 0.75).astype(np.uint8)
            draw_points(picture, tracks.between(query, target)[rows], colours)
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(small, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


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
