"""Surface normals in camera space.

Shapes: (H, W) pixels of ``images/``.
"""

import numpy as np

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.base import Agreement, Artefact, SceneResults, Scorer, Scores, check_values
from dynprep.artefacts.display import Display
from dynprep.artefacts.files import Place
from dynprep.artefacts.tracks import PairTracks
from dynprep.scene.frames import Frames
from dynprep.store import ItemWriter
from dynprep.vision.sampling import inside, sample

_BLANK = 127.5  # grey of a component that is 0


def _steadiness(artefact: type[Artefact], scene: SceneResults) -> Scores:
    """Mean angle, in degrees, between a point's normal and its normal in the next frame, along tracks.

    Points are those seen in both frames, with a normal in both. Read it beside ``tracks/cycle_next``.
    """
    normals, tracks, frames = scene[Normals], scene[PairTracks], scene.frames
    if not tracks.is_readable or len(frames) < 2:
        return {}
    means = []
    for query in tracks.queries:
        if query + 1 not in tracks.targets(query):
            continue
        moved = tracks.between(query, query + 1)
        seen = tracks.visible(moved) & inside(moved[:, :2], frames.height, frames.width)
        pixels = tracks.query_pixels(query)[seen]
        before = sample(normals.of(frames.stems[query]), pixels)
        after = sample(normals.of(frames.stems[query + 1]), moved[seen, :2])
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        known = lengths > 0
        if known.any():
            cosine = (before[known] * after[known]).sum(1) / lengths[known]
            means.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()))
    return {f"{artefact.name}/turn_deg": float(np.mean(means))} if means else {}


def _same_direction(a: SceneResults, b: SceneResults, stem: str) -> float:
    """Mean cosine of the angle between two results' normals, where both have one."""
    x, y = a[Normals].of(stem), b[Normals].of(stem)
    if x.shape != y.shape:
        return float("nan")
    known = x.any(-1) & y.any(-1)
    return float((x[known] * y[known]).sum(-1).mean()) if known.any() else float("nan")


class Normals(Artefact):
    """``{stem}.npy`` unit normals (H, W, 3) float32, x right, y down, z forward; 0, 0, 0 where there is none.

    A surface that faces the camera has a normal of negative z.
    """

    name = "normals"
    title = "Surface normals (blue: facing the camera)"
    what = "unit surface normals"
    unit = ""
    places = (Place("normals", "normals"),)
    scorers = (Scorer("normals", _steadiness, (PairTracks, AlignedDisparity)),)
    agreement = Agreement("mean cosine", _same_direction)
    display = Display.DIRECTIONS

    def of(self, stem: str) -> Float32Array:
        """The normals (H, W, 3) of a frame."""
        return self.files.array(f"{stem}.npy")

    @classmethod
    def write(cls, writer: ItemWriter, frames: Frames, stem: str, normals: Float32Array) -> None:
        """Store the normals (H, W, 3) of one frame."""
        check_values(normals, f"{cls.name} of frame {stem}", (*frames.size, 3), np.float32)
        writer.array(f"{stem}.npy", normals)

    def linked(self) -> dict[Place, list[str]]:
        return {self.places[0]: [f"{stem}.npy" for stem in self.frames.stems]}

    def as_arrays(self) -> Float32Array:
        """The normals of all frames (T, H, W, 3)."""
        return np.stack([self.of(stem) for stem in self.frames.stems])

    def picture(self, scene: SceneResults, stem: str) -> UInt8Array:
        """Normals as colours: red to the right, green upwards, blue towards the camera; black without one."""
        normals = self.of(stem)
        turned = normals * np.array([1, -1, -1], np.float32)
        picture = np.rint(_BLANK + _BLANK * turned).clip(0, 255).astype(np.uint8)
        picture[~normals.any(-1)] = 0
        return picture
