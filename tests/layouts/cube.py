"""A made-up clip of which everything is known: a cube with coloured corners before a wall, and a camera that moves.

Its results are written as stages write them, so that layouts read what they would read of a real clip.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras, CameraSet
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import MetricMap
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.tracks import PairTracks, TrackForm
from dynprep.scene.frames import Frame, Frames
from dynprep.stages.base import WHOLE_SCENE
from dynprep.store import ItemWriter, Recipe, Result, Store

HEIGHT, WIDTH, COUNT = 96, 128, 12
FOCAL = 110.0
CENTRE = (62.0, 46.5)  # of the first pixel's centre at 0, 0
WALL = 5.0  # metres
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.4, 0.4) for z in (2.4, 3.2)])
COLOURS = np.array([[(k >> 2 & 1) * 255, (k >> 1 & 1) * 255, (k & 1) * 255] for k in range(8)])
DOT = 3  # pixels: radius of a corner's dot
_FINE = 8  # times finer than pixels that pictures are drawn
TRACKS = {
    "rate": 4, "formats": ["npy"], "pairs": "all", "dtype": "float32", "scores": "probability",
    "mask_only": False, "mask_margin": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """scene: its results in ``store``; poses (T, 4, 4): camera to world; corners (T, 8, 2): where they are seen."""

    scene: SceneResults
    store: Store
    poses: np.ndarray
    corners: np.ndarray


def poses(moves: bool = True) -> np.ndarray:
    """Camera to world (T, 4, 4): to the side and around, each about an axis of its own."""
    every = np.tile(np.eye(4), (COUNT, 1, 1))
    for k in range(COUNT):
        share = k / (COUNT - 1) - 0.5
        turn = np.array([0.05 * share, -0.12 * share, 0.08 * share])
        every[k, :3, :3] = cv2.Rodrigues(turn)[0]
        if moves:
            every[k, :3, 3] = [0.5 * share, 0.2 * share, 0.15 * share]
    return every


def project(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) of points (N, 3) by OpenCV, pixel centres at whole numbers."""
    turn = cv2.Rodrigues(pose[:3, :3].T)[0]
    matrix = np.array([[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]])
    moved = -pose[:3, :3].T @ pose[:3, 3]
    return cv2.projectPoints(points, turn, moved, matrix, None)[0][:, 0]


def make(root: Path, name: str = "cube", moves: bool = True, **changed: Any) -> Clip:
    """Write the clip's results to a store below ``root``. changed: options of the tracks, ``unit`` of the cameras, and
    ``objects=False`` for masks without any."""
    unit, objects = changed.pop("unit", "m"), changed.pop("objects", True)
    store = Store(root / "store")
    stems = [f"{k:05d}" for k in range(COUNT)]
    table = tuple(Frame(stem, k, k / 24, stem) for k, stem in enumerate(stems))
    frames = Frames(table, ".png", HEIGHT, WIDTH, HEIGHT, WIDTH)
    every = poses(moves)
    rows = np.tile([FOCAL, FOCAL, *CENTRE], (COUNT, 1))
    depths = [_depth(pose) for pose in every]
    corners = np.stack([project(CORNERS, pose) for pose in every])
    masks = [_hull(c) & objects for c in corners]
    results: dict[str, Result] = {}

    def add(artefact: type[Artefact], options: dict[str, Any], write: Any) -> None:
        inputs = {k: r.key for k, r in results.items()}
        options = {"made_up": f"{name} {moves} {unit} {objects}", **options}
        recipe = Recipe(artefact.name, "made_up", options=options, inputs=inputs)
        results[artefact.name] = store.cached(recipe, write, is_view=False, item=WHOLE_SCENE)

    def images(writer: ItemWriter) -> None:
        for stem, seen in zip(stems, corners, strict=True):
            writer.image(f"{stem}.png", _picture(seen))
        Images.write_table(writer, frames)

    def maps(writer: ItemWriter) -> None:
        for stem, z, row in zip(stems, depths, rows, strict=True):
            MetricDisparity.write(writer, frames, stem, MetricMap(z, row))

    def aligned(writer: ItemWriter) -> None:
        for stem, z in zip(stems, depths, strict=True):
            AlignedDisparity.write_map(writer, frames, stem, (1 / z).astype(np.float32))

    def marked(writer: ItemWriter) -> None:
        for stem, mask in zip(stems, masks, strict=True):
            ObjectMasks.write_objects(writer, frames, stem, mask.astype(np.uint8) * 7)

    def cameras(writer: ItemWriter) -> None:
        Cameras.write(writer, frames, CameraSet(every, rows, unit, unit == "m", None, True, "file"))

    form = {**TRACKS, **changed}

    def tracks(writer: ItemWriter) -> None:
        _write_tracks(writer, frames, form, every, depths, masks)

    add(Images, {}, images)
    add(ObjectMasks, {}, marked)
    add(MetricDisparity, {}, maps)
    add(AlignedDisparity, {}, aligned)
    add(Cameras, {}, cameras)
    add(PairTracks, form, tracks)
    return Clip(SceneResults(name, frames, results), store, every, corners)


def measured(picture: np.ndarray) -> np.ndarray:
    """Where the dots of the corners are in a picture (H, W, 3): centroids (8, 2), of the first pixel's centre at 0, 0;
    NaN where another corner hides one."""
    out = np.full((8, 2), np.nan)
    grey = np.array([128.0, 128.0, 128.0])
    for k, colour in enumerate(COLOURS):
        toward = colour - grey
        # how much of each pixel the dot covers, were there no other colour than grey beside it
        share = (picture.astype(float) - grey) @ toward / (toward @ toward)
        off = np.abs(picture - grey - share[..., None] * toward).max(2)
        share = np.where((off < 3) & (share > 0.02), share, 0)
        if abs(share.sum() - np.pi * DOT**2) < 1:
            y, x = np.mgrid[:HEIGHT, :WIDTH]
            out[k] = (share * x).sum() / share.sum(), (share * y).sum() / share.sum()
    return out


def _picture(corners: np.ndarray) -> np.ndarray:
    """Dots on grey, drawn finely and averaged, so that centroids tell hundredths of a pixel."""
    fine = np.full((HEIGHT * _FINE, WIDTH * _FINE, 3), 128, np.uint8)
    y, x = np.mgrid[: HEIGHT * _FINE, : WIDTH * _FINE]
    x, y = ((v + 0.5) / _FINE - 0.5 for v in (x, y))
    for colour, (cx, cy) in zip(COLOURS, corners, strict=True):
        fine[(x - cx) ** 2 + (y - cy) ** 2 <= DOT**2] = colour
    averaged = fine.reshape(HEIGHT, _FINE, WIDTH, _FINE, 3).mean((1, 3))
    return np.rint(averaged).astype(np.uint8)


def _hull(corners: np.ndarray) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(corners).astype(np.int32)), 1)
    return mask > 0


def _depth(pose: np.ndarray) -> np.ndarray:
    """Depth (H, W) of the wall, the plane z = WALL of the world."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack([(x - CENTRE[0]) / FOCAL, (y - CENTRE[1]) / FOCAL, np.ones_like(x, float)], -1)
    turned = rays @ pose[:3, :3].T
    return ((WALL - pose[2, 3]) / turned[..., 2]).astype(np.float32)


def _write_tracks(
    writer: ItemWriter, frames: Frames, options: dict, every: np.ndarray, depths: list, masks: list
) -> None:
    """The wall's points, followed exactly."""
    form = TrackForm.of(options)
    grid = form.grid(frames)
    for query in form.pairs.queries(COUNT):
        points = grid
        if options["mask_only"]:
            column, row = points.astype(int).T
            points = points[masks[query][row, column]]
        column, row = points.astype(int).T
        z = depths[query][row, column].astype(float)
        rays = np.concatenate([(points - CENTRE) / FOCAL, np.ones((len(points), 1))], 1)
        world = (rays * z[:, None]) @ every[query, :3, :3].T + every[query, :3, 3]
        for target in form.pairs.targets(query, COUNT):
            moved = project(world, every[target]) if len(world) else np.zeros((0, 2))
            inside = (moved > -0.5).all(1) & (moved < [WIDTH - 0.5, HEIGHT - 0.5]).all(1)
            scores = np.stack([1.0 - inside, inside], 1)
            tracks = np.concatenate([moved, scores], 1).astype(np.float32)
            PairTracks.write(writer, frames, form, (query, target), tracks, frames.size)
