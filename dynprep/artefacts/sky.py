"""Where there is sky, whose depth no number tells.

Shapes: (H, W) pixels of ``images/``.
"""

import numpy as np

from dynprep.arrays import BoolArray, UInt8Array
from dynprep.artefacts.base import Agreement, Artefact, SceneResults, check_values
from dynprep.artefacts.display import Curve, Display
from dynprep.artefacts.files import Place
from dynprep.artefacts.images import Images
from dynprep.scene.frames import Frames
from dynprep.store import ItemWriter

_SKY = 255  # value of the sky's pixels in the file
_TINT = (80, 170, 255)  # of the sky in pictures


def _same_region(a: SceneResults, b: SceneResults, stem: str) -> float:
    """J of two results of a frame."""
    from dynprep.metrics.regions import jaccard

    x, y = a[Sky].of(stem), b[Sky].of(stem)
    return jaccard(x, y) if x.shape == y.shape else float("nan")


class Sky(Artefact):
    """``{stem}.png``, uint8 (H, W): 255 sky, 0 what has a depth."""

    name = "sky"
    title = "Sky"
    what = "where there is sky"
    unit = ""
    places = (Place("sky", "sky"),)
    scorers = ()
    agreement = Agreement("J", _same_region)
    display = Display.LABELS

    def of(self, stem: str) -> BoolArray:
        """Where there is sky (H, W)."""
        return self.files.image(f"{stem}.png") > 0

    def sky(self, stem: str) -> BoolArray | None:
        """The same, as backends of depth say it."""
        return self.of(stem)

    @staticmethod
    def write(writer: ItemWriter, frames: Frames, stem: str, sky: BoolArray) -> None:
        """Store where there is sky (H, W) in one frame."""
        check_values(sky, f"sky of frame {stem}", frames.size, np.bool_)
        writer.image(f"{stem}.png", np.where(sky, _SKY, 0).astype(np.uint8))

    def linked(self) -> dict[Place, list[str]]:
        return {self.places[0]: [f"{stem}.png" for stem in self.frames.stems]}

    def as_arrays(self) -> BoolArray:
        """Where there is sky in all frames, bool (T, H, W)."""
        return np.stack([self.of(stem) for stem in self.frames.stems])

    def displayed(self, scene: SceneResults, stem: str) -> UInt8Array:
        """1 where there is sky (H, W)."""
        return self.of(stem).astype(np.uint8)

    def label_colour(self, label: int) -> tuple[int, int, int]:
        return _TINT

    def curves(self, scene: SceneResults) -> list[Curve]:
        """Which share of the image is sky."""
        shares: list[float | None] = [float(self.of(stem).mean()) for stem in self.frames.stems]
        return [Curve("Sky", "share", {"sky": shares})]

    def picture(self, scene: SceneResults, stem: str) -> UInt8Array:
        """The frame with the sky tinted."""
        rgb = scene[Images].rgb(stem).astype(np.float32)
        sky = self.of(stem)
        rgb[sky] = 0.5 * rgb[sky] + 0.5 * np.array(_TINT, np.float32)
        return rgb.astype(np.uint8)
