"""Object masks: what moves on its own, or what the user marked.

Shapes: (H, W) pixels of ``images/``.
"""

import io

import cv2
import numpy as np
from PIL import Image

from dynprep.arrays import BoolArray, UInt8Array
from dynprep.artefacts.base import Agreement, Artefact, SceneResults, Scorer, Scores, check_values
from dynprep.artefacts.display import Curve, Display
from dynprep.artefacts.files import Place
from dynprep.artefacts.images import Images
from dynprep.scene.frames import Frames
from dynprep.scene.truth import Truth
from dynprep.store import ItemWriter

_OBJECT = 255  # value of an object's pixels in the file
# of ids, as DAVIS and other sets have them: each bit of an id sets a bit of red, green or blue
_PALETTE = [
    sum(((k >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
    for k in range(256)
    for channel in range(3)
]
_TINT = (255, 64, 96)  # of objects in pictures, where they are not told apart


def _against_labels(artefact: type[Artefact], scene: SceneResults, truth: Truth) -> Scores:
    """J and F against the labels, at the labels' size (Perazzi et al. 2016)."""
    from dynprep.metrics.masks import MaskScores
    from dynprep.metrics.values import values

    if not truth.labels_frames(scene.frames):
        return {}
    total = MaskScores()
    for frame in scene.frames.table:
        true = truth.label(frame.index) > 0
        mask = scene[ObjectMasks].of(frame.stem)
        if mask.shape != true.shape:
            size = true.shape[::-1]
            mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        total.update(mask, true)
    return {f"{artefact.name}/{k}": v for k, v in values(total).items()}


def _same_region(a: SceneResults, b: SceneResults, stem: str) -> float:
    """J of two masks of a frame."""
    from dynprep.metrics.regions import jaccard

    x, y = a[ObjectMasks].of(stem), b[ObjectMasks].of(stem)
    return jaccard(x, y) if x.shape == y.shape else float("nan")


class ObjectMasks(Artefact):
    """``{stem}.png``, uint8 (H, W): 0 background, 255 object; from backends that tell objects apart also
    ``objects/{stem}.png``, an indexed PNG of their ids."""

    name = "masks"
    title = "Object masks"
    what = "object masks"
    unit = ""
    places = (Place("masks", "masks"), Place("objects", "objects"))
    scorers = (Scorer("masks", _against_labels, against_truth=True),)
    agreement = Agreement("J", _same_region)
    video_title = "Object masks through the clip"
    display = Display.LABELS

    def of(self, stem: str) -> BoolArray:
        """The mask (H, W) of a frame, true on objects."""
        return self.files.image(f"{stem}.png") > 0

    @staticmethod
    def write(writer: ItemWriter, frames: Frames, stem: str, mask: BoolArray) -> None:
        """Store the mask (H, W) of one frame, true on objects."""
        check_values(mask, f"masks of frame {stem}", frames.size, np.bool_)
        writer.image(f"{stem}.png", np.where(mask, _OBJECT, 0).astype(np.uint8))

    @staticmethod
    def write_objects(writer: ItemWriter, frames: Frames, stem: str, ids: UInt8Array) -> None:
        """Store which object each pixel (H, W) of one frame belongs to, 0 for none, and the mask of them all."""
        check_values(ids, f"objects of frame {stem}", frames.size, np.uint8)
        ObjectMasks.write(writer, frames, stem, ids > 0)
        writer.data(_objects_file(stem), objects_png(ids))

    @property
    def has_objects(self) -> bool:
        """Whether objects are told apart."""
        return bool(self.frames.stems) and self.files.holds(_objects_file(self.frames.stems[0]))

    def objects(self, stem: str) -> UInt8Array:
        """Ids (H, W) of the objects of a frame, 0 for none; of one object where they are not told apart."""
        if not self.has_objects:
            return self.of(stem).astype(np.uint8)
        ids: UInt8Array = self.files.image(_objects_file(stem))
        return ids

    def linked(self) -> dict[Place, list[str]]:
        masks = {self.places[0]: [f"{stem}.png" for stem in self.frames.stems]}
        if not self.has_objects:
            return masks
        return {**masks, self.places[1]: [_objects_file(stem) for stem in self.frames.stems]}

    def displayed(self, scene: SceneResults, stem: str) -> UInt8Array:
        """Ids (H, W) of the objects."""
        return self.objects(stem)

    def label_colour(self, label: int) -> tuple[int, int, int]:
        if not self.has_objects:
            return _TINT
        return object_colour(label)

    def curves(self, scene: SceneResults) -> list[Curve]:
        """Which share of the image is on objects."""
        shares: list[float | None] = [float(self.of(stem).mean()) for stem in self.frames.stems]
        return [Curve("Mask coverage", "share", {"on objects": shares})]

    def as_arrays(self) -> BoolArray:
        """The masks of all frames, bool (T, H, W)."""
        return np.stack([self.of(stem) for stem in self.frames.stems])

    def picture(self, scene: SceneResults, stem: str) -> UInt8Array:
        """The frame with objects tinted and outlined, each in its own colour where they are told apart."""
        rgb = scene[Images].rgb(stem).astype(np.float32)
        mask = self.of(stem)
        tint = np.broadcast_to(np.array(_TINT, np.float32), rgb.shape)
        if self.has_objects:
            tint = np.reshape(_PALETTE, (256, 3))[self.objects(stem)]
        rgb[mask] = 0.5 * rgb[mask] + 0.5 * tint[mask]
        picture = rgb.astype(np.uint8)
        edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, edges, -1, (255, 255, 255), 1)
        return picture


def objects_png(ids: UInt8Array, clear: int | None = None) -> bytes:
    """An indexed PNG of objects' ids (H, W), each in its own colour. clear: the id that is transparent."""
    picture = Image.fromarray(ids)
    picture.putpalette(_PALETTE)  # which makes it an indexed one
    buffer = io.BytesIO()
    if clear is None:
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "PNG", transparency=clear)
    return buffer.getvalue()


def object_colour(number: int) -> tuple[int, int, int]:
    """Red, green and blue of the object with an id, 0..255."""
    red, green, blue = _PALETTE[3 * number : 3 * number + 3]
    return red, green, blue


def _objects_file(stem: str) -> str:
    return f"objects/{stem}.png"
