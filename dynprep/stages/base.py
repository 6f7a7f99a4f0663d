"""A step of the work: what it reads, what it makes, and the two shapes that a step can have."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Generic, TypeVar

from dynprep.artefacts.base import Artefact, Scene
from dynprep.scene.frames import Frames
from dynprep.scene.source import Source
from dynprep.scene.truth import Truth
from dynprep.stages.context import StageContext
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")
Output = TypeVar("Output")
AStage = TypeVar("AStage", bound="Stage")

WHOLE_SCENE = "scene"  # the one item of a stage that takes a scene at once
_WAITING = 4  # results that wait to be written
# metadata of a field that changes how fast a result is made, never what it is
NEUTRAL = {"neutral": True}


@dataclass(frozen=True)
class Terms:
    """Under which licence a network's weights are published, and where.

    hub: repository on the Hugging Face hub; commercial: whether the licence allows commercial use.
    """

    hub: str
    licence: str
    commercial: bool


@dataclass(frozen=True)
class Deferred(Generic[Output]):
    """An output that the device is still at work on; ``get`` waits for it, in a writer thread."""

    get: Callable[[], Output]


@dataclass(kw_only=True)
class Stage(ABC):
    """A step of the work with its backend and options; backends are dataclasses derived from it.

    Instances are pickled, so they hold options and nothing else until ``setup``. In the order of a stage's
    life: ``fetch``, ``check``, ``key_options``, ``inspect``, ``setup``, the work itself, ``release``
    (docs/stages.md).

    makes: the artefact that is written. kind_version, backend_version: raised when the same options give other
    bytes, the first for all backends of the kind. backend_id: names the backend in the store's keys, whatever
    its class is called and wherever it stands. is_helper: other stages ask for it, users do not. uses_device:
    it has a network, which runs on the accelerator. tells_sky: its results say where there is
    sky, which no other result does. cites: keys of the papers that it is from, for ``dynprep cite``.
    """

    context: StageContext = field(repr=False)

    makes: ClassVar[type[Artefact]]
    kind_version: ClassVar[int]
    backend_id: ClassVar[str]
    backend_version: ClassVar[int] = 1
    is_helper: ClassVar[bool] = False
    uses_device: ClassVar[bool] = False
    tells_sky: ClassVar[bool] = False
    cites: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The stage's name, which is its artefact's."""
        return self.makes.name

    @abstractmethod
    def reads(self) -> tuple[type[Artefact], ...]:
        """The artefacts that are read."""

    @abstractmethod
    def items(self, frames: Frames) -> list[str]:
        """Names of the items that a scene's result consists of; each is written and resumed by itself."""

    @abstractmethod
    def disk_bytes(self, frames: Frames) -> int:
        """How much a scene's result takes on disk, at most, in bytes."""

    def effort(self, frames: Frames) -> str | None:
        """What a user should know of a scene's cost beside the disk, as a sentence; None where there is nothing."""
        return None

    def helpers(self) -> "list[Stage]":
        """Helper stages that this backend brings along, made from its own options."""
        return []

    def derive(self, kind: type[AStage]) -> AStage:
        """A stage of the class ``kind``, with those options of this stage that ``kind`` has too."""
        return kind(**{f.name: getattr(self, f.name) for f in fields(kind)})

    def ignored(self) -> dict[str, str]:
        """Options that cannot act as the others are set, with the reason: they are left out of the key."""
        return {}

    def key_options(self) -> dict[str, Any]:
        """The options that decide the bytes, for the store's key."""
        ignored = self.ignored()
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name != "context" and not f.metadata.get("neutral") and f.name not in ignored
        }

    def weights(self) -> str | None:
        """Identity of the network's weights, for the store's key; None where there are none."""
        return None

    def outside(self, source: Source) -> dict[str, str]:
        """Content hashes of files from outside that are read, by what they are, for the store's key."""
        return {}

    def check(self, source: Source) -> None:
        """Raise UserError for what cannot work with this scene; called before any work."""

    def check_stages(self, stages: "Mapping[str, Stage]") -> None:
        """Raise UserError where the stages that this one reads cannot give what it needs; called before any work.

        stages: all that are configured, by name."""

    def for_known_clip(self: AStage, truth: Truth, frames: Frames) -> AStage:
        """The stage as ``dynprep check`` runs it on frames of which ``truth`` is known: itself, unless it needs what a
        user would mark on them."""
        return self

    def terms(self) -> Terms | None:
        """The licence of the weights; None where there are none."""
        return None

    def fetch(self, say: Callable[[str], None]) -> None:
        """Bring what is downloaded, or raise UserError; called before ``weights``. say: shows a line."""

    def inspect(self) -> list[str]:
        """Raise UserError for weights that do not fit, and return what a user should know of those that do.

        Called before any stage runs, where this one has something to do."""
        return []

    def setup(self, device: Any) -> None:
        """Make ready in the process that computes: load a network to ``device`` (a torch.device)."""

    def release(self) -> None:
        """Let go of what ``setup`` made: the next stage needs the device's memory."""


@dataclass(kw_only=True)
class FrameStage(Stage, Generic[Sample, Output]):
    """A step that is computed frame by frame.

    ``load`` runs in reader processes, ``compute`` in the process that holds the device, ``write`` in a writer
    thread. one_by_one: smaller batches take no less memory.
    """

    one_by_one: ClassVar[bool] = False

    def items(self, frames: Frames) -> list[str]:
        """The stems of the frames."""
        return frames.stems

    def batch(self, threads: int) -> int:
        """Items that are computed at once on a CPU when the user leaves it open; threads: cores to use."""
        return threads

    @abstractmethod
    def load(self, scene: Scene, item: str) -> Sample:
        """Read what ``item``, a stem, needs."""

    @abstractmethod
    def compute(self, samples: Sequence[Sample]) -> Sequence[Output | Deferred[Output]]:
        """Compute a batch. Samples may be of several scenes, and so of several sizes."""

    @abstractmethod
    def write(self, writer: ItemWriter, scene: Scene, item: str, output: Output) -> None:
        """Write one item's files."""


@dataclass(kw_only=True)
class SceneStage(Stage):
    """A step that takes a whole scene at once, because its frames are computed together or do not exist yet.

    smaller: what to choose where it does not fit into memory, in words.
    """

    smaller: ClassVar[str] = "a smaller network or resolution"

    def items(self, frames: Frames) -> list[str]:
        """The one item: the scene."""
        return [WHOLE_SCENE]

    @abstractmethod
    def run(self, scene: Scene, writer: ItemWriter) -> None:
        """Read, compute and write a scene."""


def parallel(function: Callable[[Sample], Output], samples: Sequence[Sample]) -> list[Output]:
    """``function`` of every sample in threads of their own: NumPy and OpenCV release the interpreter lock."""
    if len(samples) == 1:
        return [function(samples[0])]
    with ThreadPoolExecutor(len(samples)) as pool:
        return list(pool.map(function, samples))


def written_behind(write: Callable[[Sample], None], values: Iterable[Sample]) -> None:
    """Call ``write`` with each value in turn, in a thread of its own, while the next ones are made."""
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for value in values:
            waiting.append(pool.submit(write, value))
            if len(waiting) > _WAITING:
                waiting.popleft().result()
        for future in waiting:
            future.result()
