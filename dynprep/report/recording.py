"""A Rerun recording of a scene: cameras, frames, depth, masks, tracks, points and their ways, over time.

Shapes: (H, W) pixels of ``images/``, T frames, N points.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynprep.artefacts import SceneResults
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.drawing import start_colours
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.points import KINDS, PointTrajectories
from dynprep.artefacts.tracks import PairTracks
from dynprep.backends.layouts.world import depth
from dynprep.errors import UserError
from dynprep.viewer.world import World, object_ways, world_of

_QUALITY = 85  # of JPEG frames
_WAYS, _BACK = 300, 16  # points whose ways are drawn, and frames back
_VIEW = "world/camera"  # everything of the image stands below the camera


def need_rerun() -> Any:
    """Import Rerun's package, or raise UserError saying how to get it."""
    try:
        import rerun
    except ImportError:
        raise UserError(
            "logger.rerun=true: the package rerun-sdk is not installed: pip install 'dynprep[rerun]', "
            "or set logger.rerun=false"
        ) from None
    return rerun


def write_recording(scene: SceneResults, path: Path) -> None:
    """Write a recording (.rrd) of everything that the scene's results hold, in the axes of ``cameras.json``."""
    rr = need_rerun()
    stream = rr.RecordingStream("dynprep", recording_id=f"dynprep-{_identity(scene)}")
    stream.save(str(path))
    stream.log("world", rr.ViewCoordinates.RDF, static=True)
    has_depth = AlignedDisparity in scene and MetricDisparity in scene
    world = world_of(scene) if Cameras in scene and has_depth else None
    if world is not None:
        path_of_camera = rr.LineStrips3D([world.cameras.centres], colors=[(91, 155, 255)])
        stream.log("world/path", path_of_camera, static=True)
    for number, stem in enumerate(scene.frames.stems):
        stream.set_time("frame", sequence=number)
        if world is not None:
            _log_camera(rr, stream, scene, world, number)
        image = rr.Image(scene[Images].rgb(stem)).compress(jpeg_quality=_QUALITY)
        stream.log(f"{_VIEW}/image", image)
        if has_depth:
            stream.log(f"{_VIEW}/depth", rr.DepthImage(depth(scene, stem), meter=1.0))
        if ObjectMasks in scene:
            ids = scene[ObjectMasks].objects(stem)
            stream.log(f"{_VIEW}/masks", rr.SegmentationImage(ids, opacity=0.5))
    if PairTracks in scene:
        _log_tracks(rr, stream, scene)
    if world is not None and PointTrajectories in scene:
        _log_points(rr, stream, scene, world)
    stream.disconnect()


def _identity(scene: SceneResults) -> str:
    """What tells this recording from those of other results of the same clip."""
    keys = " ".join(f"{name} {result.key}" for name, result in sorted(scene.results.items()))
    return hashlib.sha256(keys.encode()).hexdigest()[:32]


def _log_camera(rr: Any, stream: Any, scene: SceneResults, world: World, number: int) -> None:
    pose = world.cameras.camera_to_world[number]
    fx, fy, cx, cy = world.cameras.intrinsics[number]
    stream.log(_VIEW, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
    matrix = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
    size = {"width": scene.frames.width, "height": scene.frames.height}
    stream.log(_VIEW, rr.Pinhole(image_from_camera=matrix, **size))


def _log_tracks(rr: Any, stream: Any, scene: SceneResults) -> None:
    """The middle query frame's points on every frame, where they are seen."""
    tracks = scene[PairTracks]
    if not tracks.is_readable:
        return
    query = tracks.middle_query
    start, rows = tracks.thinned(query)
    colours = start_colours(start[:, :2], scene.frames.width, scene.frames.height)
    for target in tracks.targets(query):
        moved = tracks.between(query, target)[rows]
        seen = tracks.visible(moved)
        stream.set_time("frame", sequence=target)
        points = rr.Points2D(moved[seen, :2] + 0.5, colors=colours[seen], radii=1.5)
        stream.log(f"{_VIEW}/image/tracks", points)


def _log_points(rr: Any, stream: Any, scene: SceneResults, world: World) -> None:
    """Points of the object and of the background, and the ways of some of the object's."""
    if scene.results[PointTrajectories.name].options.get("space", "camera") != "camera":
        return
    for kind, name in KINDS.items():
        cloud = scene[PointTrajectories].of(kind)
        places = world.of(cloud.positions)
        for number in range(len(scene.frames)):
            seen = cloud.visible[:, number]
            stream.set_time("frame", sequence=number)
            points = rr.Points3D(places[seen, number], colors=cloud.colours[seen])
            stream.log(f"world/{name}", points)
    ways = object_ways(scene, world, _WAYS)
    for number in range(len(scene.frames)) if ways is not None else ():
        assert ways is not None
        stream.set_time("frame", sequence=number)
        strips = _strips(*ways, number)
        stream.log("world/trails", rr.LineStrips3D(strips, colors=[(255, 209, 102)] * len(strips)))


def _strips(positions: Any, seen: Any, number: int) -> Sequence[Any]:
    """The last way of each point that is seen in a frame, as (K, 3)."""
    first = max(0, number - _BACK)
    strips = []
    for row in np.flatnonzero(seen[:, number]):
        shown = seen[row, first : number + 1]
        strips.append(positions[row, first : number + 1][shown])
    return [strip for strip in strips if len(strip) > 1]
