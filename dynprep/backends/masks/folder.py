"""Masks from files of the user's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from PIL import Image

from dynprep.arrays import AnyArray, BoolArray
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.errors import UserError
from dynprep.files import sha256_of_all
from dynprep.options import Range
from dynprep.scene.frames import Frames, match_files
from dynprep.scene.image_files import opened
from dynprep.scene.pictures import listing, scene_folder
from dynprep.scene.source import Source
from dynprep.scene.truth import Truth
from dynprep.stages.masks import Masks

_JPEG_THRESHOLD = 127
# a photograph has more values than this, and more than this share of them far from black and white
_PHOTOGRAPH_VALUES, _PHOTOGRAPH_SHARE = 64, 0.2
_FAR_FROM_ENDS = (40, 215)


@dataclass
class FolderMasks(Masks[BoolArray]):
    """Image files, one a frame; values above ``threshold`` are object (palettes by index).

    Of JPEG files, whose values are blurred at edges, values above 127 are.
    """

    path: str | None
    threshold: Annotated[int, Range(least=0)]
    missing: Literal["fail", "empty"]

    backend_id = "folder"
    backend_version = 2

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
        return scene_folder(Path(self.path).expanduser(), source.name)

    def outside(self, source: Source) -> dict[str, str]:
        return {"masks": sha256_of_all(listing(self.folder(source)))}

    def check(self, source: Source) -> None:
        if not listing(self.folder(source)):
            raise UserError(
                f"{self.folder(source)}: holds no .png, .jpg or .jpeg; check masks.path"
            )

    def for_known_clip(self, truth: Truth, frames: Frames) -> "FolderMasks":
        """The labels that are known take the place of the user's files, which are of another clip."""
        return replace(self, path=str(truth.labels[0].parent), threshold=0)

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
        with opened(path) as image:
            values = _values(image)
            lossy = image.format == "JPEG"
        _refuse_photograph(path, values)
        above = values > (max(self.threshold, _JPEG_THRESHOLD) if lossy else self.threshold)
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


def _values(image: Image.Image) -> AnyArray:
    """The values (H, W) or (H, W, 3) that hold the mask: those of the alpha channel where only that one varies."""
    if image.mode in ("RGBA", "LA"):
        colours = np.asarray(image.convert("RGB"))
        alpha = np.asarray(image.getchannel("A"))
        is_plain = bool((colours == colours[:1, :1]).all())
        return alpha if is_plain and alpha.min() < alpha.max() else colours
    return np.asarray(image.convert("RGB") if image.mode == "CMYK" else image)


def _refuse_photograph(path: Path, values: AnyArray) -> None:
    """Raise UserError for a picture with many values between black and white."""
    grey = values.max(-1) if values.ndim == 3 else values
    if grey.dtype != np.uint8:
        return
    counts = np.bincount(grey.ravel(), minlength=256)
    low, high = _FAR_FROM_ENDS
    if (counts > 0).sum() > _PHOTOGRAPH_VALUES and counts[
        low:high
    ].sum() > _PHOTOGRAPH_SHARE * grey.size:
        raise UserError(
            f"{path}: looks like a photograph and not like a mask, which has few values; check masks.path"
        )
