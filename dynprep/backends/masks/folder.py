"""Masks from files of the user's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from dynprep.arrays import BoolArray
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.errors import UserError
from dynprep.files import sha256_of_all
from dynprep.options import Range
from dynprep.scene.frames import match_files
from dynprep.scene.pictures import listing, unreadable
from dynprep.scene.source import Source
from dynprep.stages.masks import Masks


@dataclass
class FolderMasks(Masks[BoolArray]):
    """Image files, one a frame; values above ``threshold`` are object (palettes by index)."""

    path: str | None
    threshold: Annotated[int, Range(least=0)]
    missing: Literal["fail", "empty"]

    backend_id = "folder"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def key_options(self) -> dict[str, Any]:
        return {"threshold": self.threshold, "missing": self.missing}

    def folder(self, source: Source) -> Path:
        """The scene's folder: ``path``, or the folder in it that is called like the scene."""
        if self.path is None:
            raise UserError(
                "masks.path is not set; say where the masks are, e.g. masks.path=R/masks"
            )
        path = Path(self.path).expanduser()
        inner = path / source.name
        return inner if inner.is_dir() else path

    def outside(self, source: Source) -> dict[str, str]:
        return {"masks": sha256_of_all(listing(self.folder(source)))}

    def check(self, source: Source) -> None:
        if not listing(self.folder(source)):
            raise UserError(
                f"{self.folder(source)}: holds no .png, .jpg or .jpeg; check masks.path"
            )

    def load(self, scene: Scene, item: str) -> BoolArray:
        folder = self.folder(scene.source)
        frames = scene.frames
        option = f"masks.path={folder}"
        matched = scene.once(option, lambda: match_files(frames, listing(folder), "masks", option))
        absent = [f.name for f in frames.table if matched[f.stem] is None]
        if absent and self.missing == "fail":
            raise UserError(
                f"{folder}: no mask for {len(absent)} of {len(frames)} frames (first "
                f"{absent[0]}); add them, or take them as empty with masks.missing=empty"
            )
        path = matched[item]
        if path is None:
            return np.zeros(frames.size, bool)
        try:
            with Image.open(path) as image:
                flat = image if image.mode not in ("RGBA", "LA", "CMYK") else image.convert("RGB")
                values = np.asarray(flat)
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise unreadable(path, error) from None
        above = values > self.threshold
        mask: BoolArray = np.any(above, axis=-1) if above.ndim == 3 else above
        if mask.shape == frames.size:
            return mask
        if mask.shape != (frames.source_height, frames.source_width):
            raise UserError(
                f"{path}: {mask.shape[1]}x{mask.shape[0]}, the frame has {frames.source_width}x"
                f"{frames.source_height}; masks must be of the frame's size"
            )
        size = (frames.width, frames.height)
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0

    def compute(self, samples: Sequence[BoolArray]) -> list[BoolArray]:
        return list(samples)
