"""A folder for one trainer, made of a scene's results: what is converted, and where every file lies."""

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import ClassVar

from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.cameras import Cameras
from dynprep.artefacts.images import Images
from dynprep.errors import UserError
from dynprep.foreign import shown
from dynprep.scene.frames import Frames
from dynprep.scene.resolution import expected_frames
from dynprep.scene.source import Source
from dynprep.stages.base import NEUTRAL, SceneStage, Stage
from dynprep.stages.cameras import CameraPoses
from dynprep.store import ItemWriter

_FOLDER = re.compile(r"[\w][\w.-]*")


@dataclass(frozen=True)
class Shown:
    """A file of a result that a layout's folder shows.

    path: in the folder; artefact: that has it; file: its name there.
    """

    path: str
    artefact: type[Artefact]
    file: str


@dataclass
class LayoutStage(SceneStage):
    """Converts what a trainer's reader wants in another form, and says where each file of its folder lies.

    folder: in ``dataset_dir``, receives one folder a scene. least_frames: of a clip, that the reader takes;
    packages: of the extra ``layouts`` that are imported.
    """

    folder: str = field(metadata=NEUTRAL)

    kind_version = 1
    least_frames: ClassVar[int] = 1
    packages: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not _FOLDER.fullmatch(self.folder):
            raise ValueError(
                f"folder is {shown(self.folder)}; a name of letters, digits, _, - and . is meant"
            )

    def check(self, source: Source) -> None:
        self.check_packages()
        frames = expected_frames(source.probe(), self.context.resolution)
        self.check_length(len(frames), source.name)

    def check_packages(self) -> None:
        """Raise UserError where a package of the extra ``layouts`` that the layout needs is not installed."""
        for name in self.packages:
            if find_spec(name) is None:
                raise UserError(
                    f"layout={self.name}: needs {name}, which is not installed: pip install 'dynprep[layouts]'"
                )

    def check_length(self, count: int, scene: str) -> None:
        """Raise UserError for a scene of ``count`` frames that the reader would not take."""
        if count < self.least_frames:
            raise UserError(
                f"layout={self.name}: its reader wants {self.least_frames} frames or more, {scene} has {count}"
            )

    def check_stages(self, stages: Mapping[str, Stage]) -> None:
        """Raise UserError where the stages that the layout reads cannot give what its reader needs."""
        reads: tuple[type[Artefact], ...] = self.reads()
        for artefact in reads:
            if artefact.name not in stages:
                raise UserError(
                    f"layout={self.name} needs {artefact.name} ({artefact.what}), which is switched off; choose a "
                    "backend for it"
                )
        cameras = stages[Cameras.name] if Cameras in reads else None
        if isinstance(cameras, CameraPoses) and not cameras.tells_scale:
            raise UserError(
                f"layout={self.name}: poses and depth must have one unit; use poses.scale=metric_depth"
            )

    @abstractmethod
    def run(self, scene: SceneResults, writer: ItemWriter) -> None:
        """Read, convert and write; the files' names are their paths in the folder, unless ``placed`` changes them."""

    def linked(self, scene: SceneResults) -> Iterator[Shown]:
        """The files that the folder shows as other stages made them."""
        yield from ()

    def placed(self, name: str, scene: SceneResults) -> str:
        """The path in the folder of the converted file ``name``; paths may hold the scene's name."""
        return name

    def files(self, scene: SceneResults) -> Iterator[Shown]:
        """Every file of the scene's folder."""
        yield from self.linked(scene)
        for item in scene.results[self.name].items().values():
            for name in item.files:
                yield Shown(self.placed(name, scene), self.makes, name)

    def disk_bytes(self, frames: Frames) -> int:
        return self.bytes_a_frame(frames) * len(frames) + 1_000_000

    def bytes_a_frame(self, frames: Frames) -> int:
        """Bytes that are converted for each frame, at most."""
        return 1000


def shown_images(scene: SceneResults, folder: str) -> Iterator[Shown]:
    """The frames, in ``folder``."""
    for stem in scene.frames.stems:
        name = f"{stem}{scene.frames.suffix}"
        yield Shown(f"{folder}/{name}", Images, name)


def shown_maps(
    scene: SceneResults, artefact: type[Artefact], folder: str, suffix: str
) -> Iterator[Shown]:
    """One file a frame of an artefact, called by the stem, in ``folder``."""
    for stem in scene.frames.stems:
        yield Shown(f"{folder}/{stem}{suffix}", artefact, f"{stem}{suffix}")
