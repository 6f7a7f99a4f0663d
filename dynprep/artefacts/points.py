"""Trajectories in 3D, of the object and of the background.

Shapes: N points, T frames, (4,) fx, fy, cx, cy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, Float64Array, IntArray, UInt8Array
from dynprep.artefacts.base import Artefact, check_values
from dynprep.artefacts.files import Place
from dynprep.scene.frames import Frames
from dynprep.store import ItemWriter

KINDS = {"fg": "object", "bg": "background"}
_VISIBLE = 0.5  # a visibility from which on a point is drawn


@dataclass(frozen=True)
class Trajectories:
    """N points through T frames.

    positions (N, T, 3), in metres in camera space unless ``points.space`` says otherwise; visibility and
    confidence (N, T) in [0, 1]; colours (N, 3) uint8 RGB; query (N,): number of the frame that each was taken
    from.
    """

    positions: Float32Array
    visibility: Float32Array
    confidence: Float32Array
    colours: UInt8Array
    query: IntArray

    def __len__(self) -> int:
        return len(self.query)

    @property
    def visible(self) -> BoolArray:
        """Whether each point is seen in each frame, (N, T)."""
        return self.visibility >= _VISIBLE


class PointTrajectories(Artefact):
    """``fg.npz`` and ``bg.npz``: trajectories of the object's points and of the background's."""

    name = "points"
    title = "Points in 3D"
    what = "trajectories in 3D"
    unit = "m"
    places = (Place("points", "points"),)
    picture = None
    scorers = ()
    agreement = None

    def of(self, kind: str) -> Trajectories:
        """Trajectories of ``fg`` (object) or ``bg`` (background)."""
        arrays = self.files.arrays(f"{kind}.npz")
        return Trajectories(**{k: v for k, v in arrays.items() if k != "intrinsics"})

    def as_arrays(self) -> dict[str, Trajectories]:
        """Trajectories by kind, ``fg`` and ``bg``."""
        return {kind: self.of(kind) for kind in KINDS}

    @property
    def intrinsics(self) -> Float64Array:
        """[fx, fy, cx, cy] (4,) of the camera that the points were lifted with, pixels of ``images/``."""
        return self.files.arrays("bg.npz")["intrinsics"].astype(np.float64)

    @staticmethod
    def write(
        writer: ItemWriter,
        frames: Frames,
        points: Mapping[str, Trajectories],
        intrinsics: Float64Array,
    ) -> None:
        """Store the trajectories of both kinds, and say where there are none."""
        for kind, cloud in points.items():
            count, what = len(cloud), f"points of the {KINDS[kind]}"
            check_values(cloud.positions, what, (count, len(frames), 3))
            check_values(cloud.visibility, what, (count, len(frames)))
            check_values(cloud.confidence, what, (count, len(frames)))
            writer.arrays(
                f"{kind}.npz",
                positions=cloud.positions,
                visibility=cloud.visibility,
                confidence=cloud.confidence,
                colours=cloud.colours,
                query=cloud.query,
                intrinsics=intrinsics.astype(np.float32),
            )
            if not count:
                writer.note(f"points: no {KINDS[kind]} points were seen in enough frames")

    def linked(self) -> dict[Place, list[str]]:
        return {self.places[0]: [f"{kind}.npz" for kind in KINDS]}
