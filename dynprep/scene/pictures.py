"""Image files as upright 8-bit RGB, whatever they hold; folders of frames as scenes."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from dynprep.arrays import UInt8Array
from dynprep.errors import UserError
from dynprep.files import sha256
from dynprep.foreign import shown
from dynprep.scene.image_files import (
    SUFFIXES,
    UnreadableImage,
    opened,
    orientation,
    read_content,
)
from dynprep.scene.source import OnError, Part, Probe, RawFrame, Selection, Source, no_frames

Background = Literal["black", "white"]

_SWAPPED = (5, 6, 7, 8)  # orientations that exchange height and width
_GREY16 = ("I;16", "I;16B", "I;16L", "I")
_TO_EIGHT_BITS = 257  # 65535 / 255


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts frame10 after frame9."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts if p]


def scene_folder(folder: Path, scene: str) -> Path:
    """The folder in ``folder`` that is called like the scene, else ``folder`` itself."""
    inner = folder / scene
    return (
        inner if os.path.isdir(inner) else folder
    )  # Path.is_dir raises for names that are too long


def listing(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """Visible files of ``folder`` with one of ``suffixes`` (any case) in natural order."""
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in suffixes]
    except FileNotFoundError:
        raise UserError(f"{folder}: no such folder; check the path") from None
    except NotADirectoryError:
        raise UserError(f"{folder}: is a file, a folder is needed; check the path") from None
    except OSError as error:  # such as a name that is too long
        name = shown(str(folder))
        raise UserError(f"{name}: cannot be read ({error.strerror}); check the path") from None
    return sorted((p for p in paths if not p.name.startswith(".") and p.is_file()), key=natural)


def upright_rgb(image: Image.Image, background: Background) -> UInt8Array:
    """RGB uint8 (H, W, 3): EXIF rotation obeyed, alpha laid over ``background``, 16 bit to 8."""
    image = ImageOps.exif_transpose(image)
    if image.mode in _GREY16:
        grey = np.asarray(image, np.float64) / _TO_EIGHT_BITS
        return np.repeat(np.rint(np.clip(grey, 0, 255)).astype(np.uint8)[..., None], 3, 2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(ground, image)
    return np.asarray(image.convert("RGB"))


def _plain(path: Path, image: Image.Image) -> bool:
    """Whether the file holds upright 8-bit RGB already, so that it can be used as it is."""
    if image.mode != "RGB" or image.has_transparency_data:
        return False
    if orientation(image) != 1:
        return False
    if image.format == "PNG":
        with path.open("rb") as file:
            depth = file.read(25)[24]  # bits a sample, in the header chunk
        return path.suffix.lower() == ".png" and depth == 8
    return image.format == "JPEG" and path.suffix.lower() in (".jpg", ".jpeg")


@dataclass
class FramesSource(Source):
    """A folder of frames."""

    path: Path
    name: str
    selection: Selection
    on_error: OnError
    background: Background
    rate: float  # frames a second, for times: image files know none
    sensor: Path | None = None
    truth: Path | None = None
    only: Part | None = None
    left_out: tuple[str, ...] = ()  # remarks on what lies there, too
    address: str | None = None  # that it was fetched from

    def part(self, first: int, end: int, name: str) -> "FramesSource":
        part = replace(self, name=name, only=(first, end))
        part.__dict__["_digests"] = self._digests  # the files were hashed already
        return part

    def remarks(self) -> list[str]:
        return list(self.left_out)

    def describe(self) -> str:
        return self.address or str(self.path)

    @property
    def stored_at(self) -> Path:
        return self.path

    @cached_property
    def chosen(self) -> list[tuple[int, Path]]:
        """Selected frames as (index, file)."""
        files = listing(self.path)
        if not files:
            raise UserError(f"{self.path}: holds no .png, .jpg or .jpeg; check data.path")
        stems: dict[str, Path] = {}
        for file in files:
            other = stems.setdefault(file.stem, file)
            if other is not file:
                raise UserError(
                    f"{self.path}: {other.name} and {file.name} are two frames with one name; "
                    "remove one of them"
                )
        chosen = self.selection.of([k / self.rate for k in range(len(files))])
        if not chosen:
            raise no_frames(f"{self.path} ({len(files)} frames)")
        first, end = self.only or (0, len(files))
        return [(k, files[k]) for k in chosen if first <= k < end]

    def probe(self) -> Probe:
        return self._probe

    @cached_property
    def _probe(self) -> Probe:
        sizes: dict[tuple[int, int], Path] = {}
        for _, path in self.chosen:
            try:
                with opened(path) as image:
                    turned = orientation(image) in _SWAPPED
                    height, width = image.size if turned else image.size[::-1]
            except UnreadableImage:
                if self.on_error == "skip":
                    continue
                raise
            sizes.setdefault((height, width), path)
        if not sizes:
            raise UserError(f"{self.path}: none of the frames can be read; check data.path")
        if len(sizes) > 1:
            (a, first), (b, second) = list(sizes.items())[:2]
            raise UserError(
                f"{self.path}: frames differ in size: {first.name} is {a[1]}x{a[0]}, {second.name} "
                f"is {b[1]}x{b[0]}; a scene needs one size"
            )
        ((height, width),) = sizes
        return Probe(len(self.chosen), height, width)

    def plain_suffix(self) -> str | None:
        suffixes: set[str] = set()
        for _, path in self.chosen:
            try:
                with opened(path) as image:
                    if not _plain(path, image):
                        return None
            except UnreadableImage:
                continue  # what cannot be read is refused, or skipped, when frames are read
            suffixes.add(path.suffix.lower().replace(".jpeg", ".jpg"))
        return suffixes.pop() if len(suffixes) == 1 else None

    @cached_property
    def _digests(self) -> dict[Path, str]:
        """SHA-256 of each selected file, as it was when the scene was looked at."""
        digests = {}
        for _, path in self.chosen:
            try:
                digests[path] = sha256(path)
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        return digests

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for index, path in self.chosen:
            digest.update(f"{index} {path.stem} {self._digests[path]}\n".encode())
        return digest.hexdigest()

    def identity(self) -> dict[str, Any]:
        return {
            "sha256": self._digest,
            "background": self.background,
            "rate": self.rate,
            "on_error": self.on_error,
        }

    def frames(self) -> Iterator[RawFrame]:
        decoded = 0
        for index, path in self.chosen:
            digest = self._digests[path]
            try:
                # read once: what is decoded is what was hashed
                content = read_content(path)
                if hashlib.sha256(content).hexdigest() != digest:
                    raise UserError(
                        f"{path}: was changed while dynprep read the frames; run the command again"
                    )
                with opened(path, content) as image:
                    plain = _plain(path, image)
                    pixels = upright_rgb(image, self.background)
            except UnreadableImage:
                if self.on_error == "skip":
                    continue
                raise
            decoded += 1
            own = (path, digest) if plain else None
            yield RawFrame(index, index / self.rate, path.stem, pixels, own)
        if not decoded:
            raise UserError(f"{self.path}: none of the frames can be read; check data.path")
