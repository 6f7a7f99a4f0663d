"""Points in 3D over time, for the page, W&B and Rerun.

Shapes: N points, T frames.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, UInt8Array
from dynprep.artefacts import SceneResults
from dynprep.artefacts.images import Images
from dynprep.artefacts.points import KINDS, PointTrajectories
from dynprep.errors import UserError


@dataclass(frozen=True)
class ShownPoints:
    """positions (N, T, 3), visible (N, T), colours (N, 3) uint8, on_object (N,)."""

    positions: Float32Array
    visible: BoolArray
    colours: UInt8Array
    on_object: BoolArray


def load_points(scene: SceneResults, most: int | None = None) -> ShownPoints:
    """The scene's trajectories of both kinds; most: of each kind, evenly thinned."""
    parts = []
    for kind in KINDS:
        cloud = scene[PointTrajectories].of(kind)
        step = 1 if most is None else max(1, -(-len(cloud) // most))
        colours = cloud.colours[::step]
        on_object = np.full(len(colours), kind == "fg")
        parts.append((cloud.positions[::step], cloud.visible[::step], colours, on_object))
    return ShownPoints(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def clouds(shown: ShownPoints, frames: list[int]) -> list[Float32Array]:
    """For each of ``frames`` the points seen in it (N, 6): x, y up, z towards the viewer, r, g, b in 0..255."""
    shown_clouds = []
    for frame in frames:
        seen = shown.visible[:, frame]
        xyz = shown.positions[seen, frame] * np.array([1, -1, -1], np.float32)
        shown_clouds.append(np.concatenate([xyz, shown.colours[seen]], 1).astype(np.float32))
    return shown_clouds


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
    """Write a Rerun recording (.rrd): the frames, and the points of object and background over time."""
    rr = need_rerun()
    shown = load_points(scene)
    stream = rr.RecordingStream("dynprep", recording_id=f"dynprep-{scene.key(PointTrajectories)}")
    stream.save(str(path))
    stream.log("world", rr.ViewCoordinates.RDF, static=True)
    for number, stem in enumerate(scene.frames.stems):
        stream.set_time("frame", sequence=number)
        stream.log("frame", rr.Image(scene[Images].rgb(stem)).compress(jpeg_quality=85))
        for name, kind in (("object", shown.on_object), ("background", ~shown.on_object)):
            seen = shown.visible[:, number] & kind
            points = rr.Points3D(shown.positions[seen, number], colors=shown.colours[seen])
            stream.log(f"world/{name}", points)
    stream.disconnect()
