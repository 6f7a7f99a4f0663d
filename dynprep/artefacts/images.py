"""The frames of a scene, all of one size."""

from dataclasses import asdict
from pathlib import Path

from dynprep.arrays import UInt8Array
from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.files import Files, Place
from dynprep.scene.frames import Frame, Frames
from dynprep.store import ItemWriter

_TABLE = "frames.json"


class Images(Artefact):
    """RGB frames: ``{stem}.png``, or .jpg where the source's own files were taken as they are."""

    name = "images"
    title = "Frames"
    what = "RGB frames"
    unit = ""
    places = (Place("images", "images"),)
    scorers = ()
    agreement = None

    def picture(self, scene: SceneResults, stem: str) -> UInt8Array:
        """The frame itself, RGB (H, W, 3)."""
        return self.rgb(stem)

    def rgb(self, stem: str) -> UInt8Array:
        """The frame called ``stem``, RGB uint8 (H, W, 3)."""
        return self.files.image(f"{stem}{self.frames.suffix}")

    def path(self, stem: str) -> Path:
        """The image file of a frame."""
        return self.files.file(f"{stem}{self.frames.suffix}")

    def linked(self) -> dict[Place, list[str]]:
        return {self.places[0]: [f"{stem}{self.frames.suffix}" for stem in self.frames.stems]}

    @staticmethod
    def read_table(files: Files) -> Frames:
        """The table of frames, which is stored beside the images."""
        raw = files.json(_TABLE)
        return Frames(**{**raw, "table": tuple(Frame(**entry) for entry in raw["table"])})

    @staticmethod
    def write_table(writer: ItemWriter, frames: Frames) -> None:
        """Store the table of frames."""
        writer.json(_TABLE, asdict(frames))
