"""Pinhole intrinsics: those of the camera, and those that a network sees in each frame.

Shapes: (4,) is fx, fy, cx, cy in pixels of ``images/``, pixel centres at whole numbers; T frames.
"""

from functools import cached_property

import numpy as np

from dynprep.arrays import Float64Array
from dynprep.artefacts.base import Artefact, check_values
from dynprep.store import ItemWriter

_VALUES, _KNOWN = "intrinsics.json", "known.json"


class Intrinsics(Artefact):
    """The camera's intrinsics for every frame, and whether they are known or a guess."""

    name = "intrinsics"
    title = "Intrinsics"
    what = "pinhole intrinsics"
    unit = "px"
    places = ()
    picture = None
    scorers = ()
    agreement = None

    @cached_property
    def _rows(self) -> dict[str, list[float]]:
        rows: dict[str, list[float]] = self.files.json(_VALUES)
        return rows

    def of(self, stem: str) -> Float64Array:
        """[fx, fy, cx, cy] (4,) of a frame."""
        return np.asarray(self._rows[stem], np.float64)

    @cached_property
    def known(self) -> bool:
        """Whether the user or the data gave them; False for a guess."""
        return bool(self.files.json(_KNOWN))

    @staticmethod
    def write(writer: ItemWriter, rows: dict[str, list[float]], known: bool) -> None:
        """Store [fx, fy, cx, cy] by stem."""
        for stem, row in rows.items():
            check_values(np.asarray(row), f"intrinsics of frame {stem}", (4,))
        writer.json(_VALUES, rows)
        writer.json(_KNOWN, known)


class SeenIntrinsics(Artefact):
    """Intrinsics that a network sees in every frame, each by itself."""

    name = "camera_estimate"
    title = "Intrinsics that a network sees"
    what = "pinhole intrinsics"
    unit = "px"
    places = ()
    picture = None
    scorers = ()
    agreement = None

    @cached_property
    def clip_median(self) -> Float64Array:
        """[fx, fy, cx, cy] (4,), each the median over the clip: one camera for all frames."""
        rows = [self.files.json(f"{stem}.json") for stem in self.frames.stems]
        return np.median(np.asarray(rows, np.float64), 0)

    @staticmethod
    def write(writer: ItemWriter, stem: str, intrinsics: Float64Array) -> None:
        """Store [fx, fy, cx, cy] (4,) of one frame."""
        check_values(intrinsics, f"intrinsics of frame {stem}", (4,))
        writer.json(f"{stem}.json", [float(v) for v in intrinsics])
