"""The ``data`` group: what a user points at, as a list of scenes."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from dynprep.errors import UserError
from dynprep.foreign import shown
from dynprep.options import AtLeastOne, NotNegative, NotNegativeFloat, Positive, Range, Seed
from dynprep.remote.address import RemotePath
from dynprep.remote.download import files_in, folders_in
from dynprep.remote.source import RemoteSource
from dynprep.scene import demo, video
from dynprep.scene.image_files import SUFFIXES
from dynprep.scene.paths import check_shard, given_paths, of_shard
from dynprep.scene.pictures import Background, FramesSource, listing, natural, scene_folder
from dynprep.scene.source import OnError, Selection, Source
from dynprep.scene.video import VideoSource
from dynprep.store import Recipe, Result, Store

# folders whose own name says nothing of the scene: their parent's does
_PLAIN_NAMES = {"images", "image", "frames", "rgb", "color", "jpegimages", "input", "imgs"}


# pictures and clips that are not read, but that somebody may take for frames or videos
_NAMED = 10  # files that are left out and named; of more there is a count
_OTHER_PICTURES = (
    *(
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".exr",
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".ppm",
        ".dng",
    ),
    *(".wmv", ".flv", ".3gp", ".mts", ".m2ts", ".ogv"),
)
_LONGEST_NAME = 200  # bytes: file systems allow 255, and temporary names are longer


def name_fault(name: str) -> str:
    """Why a scene cannot be called ``name``, which names its folder in the dataset; empty where it can."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "a name must be valid UTF-8"
    if not name or "/" in name or "\\" in name:
        return "a folder's name is meant, without / and \\"
    if name.startswith("."):
        return "a name must not begin with a dot: it would be hidden, or lead elsewhere"
    if not name.isprintable() or name != name.strip():
        return "a name must have no control characters and no spaces at its ends"
    if length > _LONGEST_NAME:
        return f"a name has at most {_LONGEST_NAME} bytes"
    return ""


@dataclass
class Data(ABC):
    """What all kinds of data have in common. Frames are chosen by start and end, then fps, then stride."""

    name: str | None
    start: NotNegative
    end: AtLeastOne | None
    stride: AtLeastOne
    fps: Annotated[float, Range(above=0, most=1000)] | None
    max_frames: AtLeastOne | None
    on_error: OnError
    split: Literal["cuts"] | None
    truth: str | None
    shard: str | None
    on_scene_error: Literal["stop", "skip"]

    def __post_init__(self) -> None:
        check_shard(self.shard)
        if self.name is not None and (fault := name_fault(self.name)):
            raise ValueError(f"name is {shown(self.name)}; {fault}")
        self.selection = Selection(self.start, self.end, self.stride, self.fps, self.max_frames)

    @abstractmethod
    def sources(self, store: Store) -> list[Source]:
        """The scenes. Raises UserError where a path does not hold what it should."""

    def stored(self) -> dict[str, dict[str, str]]:
        """Results that ``sources`` makes in the store, by scene as keys by stage: known before they are made."""
        return {}

    def _named(self, paths: Sequence[Path | RemotePath], names: Sequence[str]) -> list[str]:
        if self.name is not None:
            if len(paths) > 1:
                raise UserError(
                    f"data.name={self.name} names one scene, data.path {len(paths)}; leave it out"
                )
            return [self.name]
        for k, name in enumerate(names):
            if fault := name_fault(name):
                raise UserError(
                    f"{shown(str(paths[k]))}: its scene would be called {shown(name)}, but {fault}; rename it or set "
                    "data.name"
                )
            if name in names[:k]:
                raise UserError(
                    f"{paths[k]} and {paths[list(names).index(name)]}: two scenes would be called "
                    f"'{name}'; rename one or run them apart with data.name"
                )
        return list(names)

    def _truth(self, scene: str) -> Path | None:
        """``truth``, or the folder in it that is called like the scene."""
        if self.truth is None:
            return None
        return scene_folder(Path(self.truth).expanduser(), scene)


@dataclass
class DemoData(Data):
    """A rendered clip with known depth, flow, masks and camera, read back like any video."""

    count: AtLeastOne
    height: Annotated[int, Range(least=64)]
    width: Annotated[int, Range(least=64)]
    focal: Positive
    sensor_noise: NotNegativeFloat
    sensor_range: Positive
    sensor_holes: Annotated[float, Range(least=0, below=1)]
    seed: Seed

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.height % 2 or self.width % 2:
            raise ValueError("height and width must be even: an mp4 needs it")

    def _recipe(self) -> Recipe:
        options = {f.name: getattr(self, f.name) for f in fields(demo.DemoOptions)}
        return Recipe("demo", "rendered", demo.VERSION, options=options)

    def stored(self) -> dict[str, dict[str, str]]:
        recipe = self._recipe()
        return {self.name or "demo": {recipe.stage: recipe.key}}

    def sources(self, store: Store) -> list[Source]:
        of_shard([self.name or "demo"], self.shard)
        recipe = self._recipe()
        render = partial(demo.write_demo, options=demo.DemoOptions(**recipe.options))
        result = store.cached(recipe, render, is_view=False)
        known = json.loads((result.folder / demo.TRUTH / "truth.json").read_text())["intrinsics"]
        return [
            VideoSource(
                path=result.file(demo.VIDEO),
                name=self.name or "demo",
                selection=self.selection,
                on_error=self.on_error,
                sensor=result.folder / demo.SENSOR,
                truth=self._truth("demo") or result.folder / demo.TRUTH,
                camera=dict.fromkeys(range(self.count), known),
            )
        ]


def _left_out(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """A remark on pictures and videos in a folder that are not read, where there are some."""
    others = [s for s in (*SUFFIXES, *video.SUFFIXES, *_OTHER_PICTURES) if s not in suffixes]
    files = listing(folder, tuple(others))
    if not files:
        return []
    count = f"{len(files)} file{'s are' if len(files) > 1 else ' is'} left out"
    names = ", ".join(file.name for file in files[:_NAMED])
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return [f"{folder}: {count}: {names}{more}; of such a folder {', '.join(suffixes)} are read"]


@dataclass
class VideoData(Data):
    """One video, several, or a folder of them."""

    path: str | list[str] | None

    def sources(self, store: Store) -> list[Source]:
        paths: list[Path | RemotePath] = []
        left_out: list[str] = []
        for path in given_paths(self.path, "dog.mp4"):
            if isinstance(path, RemotePath):
                paths += self._elsewhere(path)
            elif path.is_dir():
                left_out += _left_out(path, video.SUFFIXES)
                inside = listing(path, video.SUFFIXES)
                if not inside:
                    raise UserError(
                        f"{path}: holds no video ({', '.join(video.SUFFIXES)}); for image files use data=frames"
                    )
                paths += inside
            else:
                paths.append(path)
        names = self._named(paths, [p.stem for p in paths])
        chosen = of_shard(list(zip(paths, names, strict=True)), self.shard)
        sources = [
            self._fetched_later(p, n, store) if isinstance(p, RemotePath) else self._source(p, n)
            for p, n in chosen
        ]
        if isinstance(sources[0], VideoSource):
            sources[0] = replace(sources[0], left_out=tuple(left_out))
        return sources

    def _source(self, path: Path, name: str, address: str | None = None) -> VideoSource:
        truth = self._truth(name)
        return VideoSource(path, name, self.selection, self.on_error, truth=truth, address=address)

    def _fetched_later(self, place: RemotePath, name: str, store: Store) -> Source:
        def open_local(result: Result) -> Source:
            return self._source(result.file(place.name), name, str(place))

        return RemoteSource(place, name, store, lambda: [place], open_local, self._truth(name))

    @staticmethod
    def _elsewhere(place: RemotePath) -> list[RemotePath]:
        """The videos at an address: itself, or those of a folder or a pattern."""
        if place.suffix in video.SUFFIXES and not set(place.address) & set("*?["):
            return [place]  # whether it is there turns out when it is fetched
        videos = files_in(place, video.SUFFIXES)
        if not videos:
            raise UserError(
                f"{place}: holds no video ({', '.join(video.SUFFIXES)}); for image files use data=frames"
            )
        return videos


@dataclass
class FramesData(Data):
    """A folder of image files, several, or a folder of such folders."""

    path: str | list[str] | None
    background: Background
    rate: Positive

    def sources(self, store: Store) -> list[Source]:
        paths: list[Path | RemotePath] = []
        left_out: list[str] = []
        for path in given_paths(self.path, "my_scene/images"):
            if isinstance(path, RemotePath):
                paths += self._elsewhere(path)
                continue
            if path.is_file():
                raise UserError(
                    f"{path}: is a file, data=frames takes a folder; for a video use data=video"
                )
            folders, remarks = self._folders(path)
            paths += folders
            left_out += remarks
        full = [p if isinstance(p, RemotePath) else p.resolve() for p in paths]
        names = [(p.parent if p.name.lower() in _PLAIN_NAMES else p).name for p in full]
        named = list(zip(paths, self._named(paths, names), strict=True))
        sources = [
            self._fetched_later(p, n, store) if isinstance(p, RemotePath) else self._source(p, n)
            for p, n in of_shard(named, self.shard)
        ]
        if isinstance(sources[0], FramesSource):
            sources[0] = replace(sources[0], left_out=tuple(left_out))
        return sources

    def _source(self, path: Path, name: str, address: str | None = None) -> FramesSource:
        return FramesSource(
            path,
            name,
            self.selection,
            self.on_error,
            self.background,
            self.rate,
            truth=self._truth(name),
            address=address,
        )

    def _fetched_later(self, place: RemotePath, name: str, store: Store) -> Source:
        def open_local(result: Result) -> Source:
            return self._source(result.folder, name, str(place))

        list_files = partial(files_in, place, SUFFIXES)
        return RemoteSource(place, name, store, list_files, open_local, self._truth(name))

    @staticmethod
    def _elsewhere(place: RemotePath) -> list[RemotePath]:
        """The folders of frames at an address: itself, or those that lie in it."""
        if files_in(place, SUFFIXES):
            return [place]
        return folders_in(place) or [place]

    @staticmethod
    def _folders(path: Path) -> tuple[list[Path], list[str]]:
        """The folders of frames that ``path`` means, and remarks on what is left out.

        It is one itself, or holds one a scene; but where one of those is called as the frames of a scene are, such
        as ``images``, ``path`` is one scene, and what lies next to it, such as ``masks``, is no other.
        """
        if listing(path):
            return [path], _left_out(path, SUFFIXES)
        inside = sorted((p for p in path.iterdir() if p.is_dir()), key=natural)
        inner = [p for p in inside if not p.name.startswith(".") and listing(p)]
        if not inner:
            return [path], []
        plain = [p for p in inner if p.name.lower() in _PLAIN_NAMES]
        others = [p.name for p in inner if p not in plain]
        if plain and others:
            what = f"{path}: its frames are in {plain[0].name}, {', '.join(others)} next to it is left out"
            return plain, [
                f"{what} (masks=folder, metric_depth=sensor and data.truth take such folders)"
            ]
        return inner, []
