"""Pictures, a track video and a point cloud of a run, as files in its folder."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dynprep.files import link, whole
from dynprep.stages.flow import queries_of, read_tracks, targets_of
from dynprep.stages.inputs import SceneResults
from dynprep.stages.maps import depth_of
from dynprep.stages.metric_depth import intrinsics_file
from dynprep.store import ItemWriter, Recipe, Result, Store
from dynprep.view.pictures import PICTURES, draw_points, radius_for, start_colours, thinned
from dynprep.view.trajectories import Trajectories, clouds, page_data, write_recording

Draw = Callable[[ItemWriter], None]

VIDEO, CLOUD = "tracks.mp4", "points.npy"
_ALONE = (VIDEO, CLOUD)  # lie beside the stages' folders
_VERSION = 1  # raise it when the same results are drawn in another way
_VIDEO_WIDTH = 640  # pixels, at most
_QUALITY = 88  # of JPEG pictures
_FPS = 12  # of the track video: slow enough to follow


@dataclass
class SceneMedia:
    """What is shown of one scene: pictures by stage as (stem, path), the track video, the middle
    frame's cloud, tracked points at some frames and over time, a Rerun recording."""

    scene: str
    pictures: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    video: Path | None = None
    cloud: NDArray[np.float32] | None = None
    clouds: list[NDArray[np.float32]] = field(default_factory=list)
    trajectories: str | None = None
    recording: Path | None = None


def sampled(stems: Sequence[str], count: int) -> list[str]:
    """``count`` evenly spaced stems, first and last included."""
    at = np.unique(np.linspace(0, len(stems) - 1, min(count, len(stems))).round().astype(int))
    return [stems[k] for k in at]


def make_media(
    inputs: SceneResults,
    stages: Sequence[str],
    folder: Path,
    samples: int,
    points: int,
    rerun: bool,
    store: Store,
) -> SceneMedia:
    """The media of a scene under ``folder``, each drawn once for all runs that share what it shows;
    only stages whose results are whole are given."""
    media = SceneMedia(inputs.scene)
    folder = folder / inputs.scene

    def kept(what: str, of: Sequence[str], options: dict[str, int], draw: Draw) -> Result:
        keys = {stage: inputs[stage].key for stage in (*of, "images")}
        return store.kept(Recipe("media", _VERSION, what, options, None, keys), draw)

    def shown(result: Result, name: str) -> Path:
        path = folder / name if name in _ALONE else folder / result.recipe.backend / name
        link(result.file(name), path)
        return path

    for stage in stages:
        if stage not in PICTURES or (stage == "flow" and not _has_npy(inputs)):
            continue
        stems = inputs.frames.stems
        if stage == "flow":
            stems = [stems[q] for q in queries_of(inputs["flow"], inputs.frames)]
        chosen = sampled(stems, samples)
        drawn = kept(
            stage, [stage], {"samples": samples}, partial(_pictures, inputs, stage, chosen)
        )
        media.pictures[stage] = [(stem, shown(drawn, f"{stem}.jpg")) for stem in chosen]
    if "flow" in stages and _has_npy(inputs):
        drawn = kept("track_video", ["flow"], {}, partial(_video, inputs))
        media.video = shown(drawn, VIDEO)
    if "alignment" in stages and "metric_depth" in stages:
        of = ["alignment", "metric_depth"]
        drawn = kept("point_cloud", of, {"points": points}, partial(_cloud, inputs, points))
        shown(drawn, CLOUD)
        media.cloud = drawn.array(CLOUD)
    if "points" in stages:
        media.trajectories = page_data(inputs)
        at = [inputs.number(stem) for stem in sampled(inputs.frames.stems, samples)]
        media.clouds = clouds(Trajectories.of(inputs, points), at)
        if rerun:
            media.recording = folder / "points.rrd"
            with whole(media.recording) as temporary:
                write_recording(inputs, temporary)
    return media


def _pictures(inputs: SceneResults, stage: str, stems: Sequence[str], writer: ItemWriter) -> None:
    for stem in stems:
        buffer = io.BytesIO()
        Image.fromarray(PICTURES[stage][1](inputs, stem)).save(buffer, "JPEG", quality=_QUALITY)
        writer.data(f"{stem}.jpg", buffer.getvalue())


def _video(inputs: SceneResults, writer: ItemWriter) -> None:
    temporary = writer.temporary(VIDEO)
    track_video(inputs, temporary)
    writer.made(VIDEO, temporary)


def _cloud(inputs: SceneResults, points: int, writer: ItemWriter) -> None:
    middle = inputs.frames.stems[len(inputs.frames) // 2]
    writer.array(CLOUD, point_cloud(inputs, middle, points))


def _has_npy(inputs: SceneResults) -> bool:
    return "npy" in inputs["flow"].recipe.options["formats"]


def track_video(inputs: SceneResults, path: Path) -> None:
    """The middle frame's points through the clip, coloured by where they start."""
    import av

    frames = inputs.frames
    queries = queries_of(inputs["flow"], frames)
    middle = queries[len(queries) // 2]
    query = frames.stems[middle]
    start = read_tracks(inputs["flow"], query, query)
    drawn = thinned(inputs, start)
    start = start[drawn]
    colours = start_colours(start[:, :2], frames.width, frames.height)
    scale = min(1.0, _VIDEO_WIDTH / frames.width)
    # H.264 takes even sides alone
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frames.width, frames.height))
    with whole(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_FPS, options={"crf": "24", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, target in enumerate(targets_of(inputs["flow"], middle, frames)):
            stem = frames.stems[target]
            picture = (inputs.rgb(stem) * 0.75).astype(np.uint8)
            there = read_tracks(inputs["flow"], query, stem)[drawn]
            draw_points(picture, there, colours, radius_for(inputs))
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
            shown.pts, shown.time_base = number, Fraction(1, _FPS)
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))


def point_cloud(inputs: SceneResults, stem: str, points: int) -> NDArray[np.float32]:
    """(N, 6) x, y, z in metres in camera space (y up, z towards the viewer) and r, g, b 0..255."""
    disparity = inputs["alignment"].array(f"{stem}.npy")
    fx, fy, cx, cy = inputs["metric_depth"].json(intrinsics_file(stem))
    depth = depth_of(disparity)
    valid = disparity > 0
    if valid.any():  # a few absurd depths would hide the rest
        low, high = np.quantile(depth[valid], [0.01, 0.98])
        valid &= (depth >= low) & (depth <= high)
    rows, columns = np.nonzero(valid)
    step = max(1, len(rows) // points)
    rows, columns = rows[::step], columns[::step]
    z = depth[rows, columns]
    x, y = (columns - cx) / fx * z, (rows - cy) / fy * z
    colours = inputs.rgb(stem)[rows, columns]
    return np.concatenate([np.stack([x, -y, -z], 1), colours], 1).astype(np.float32)
