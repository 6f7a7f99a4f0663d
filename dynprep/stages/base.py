"""One step of the work: what it needs, what it gives, how an item is made and written."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, ClassVar, Generic, TypeVar

from dynprep.scene.source import Source
from dynprep.stages.inputs import Frames, Inputs
from dynprep.store import ItemWriter

Sample = TypeVar("Sample")
Output = TypeVar("Output")

WHOLE = "scene"  # the one item of a stage that takes a scene at once
# metadata of a backend's field that changes how fast, never what
NEUTRAL = {"neutral": True}


@dataclass(frozen=True)
class Terms:
    """Under which licence a network's weights are published, and where."""

    hub: str
    licence: str
    commercial: bool


@dataclass(frozen=True)
class Later(Generic[Output]):
    """An output that the device is still at work on; ``get`` waits for it, in a writer thread."""

    get: Callable[[], Output]


class Stage(ABC, Generic[Sample, Output]):
    """A step of the work with its backend and options; backends are dataclasses derived from it.

    ``load`` runs in reader processes, ``compute`` in the process that holds the device, ``write``
    in a writer thread. Instances are pickled, so they hold options and nothing else until ``setup``.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # raise it when the same options give other bytes
    whole: ClassVar[bool] = False  # one item a scene instead of one a frame
    uses_device: ClassVar[bool] = False  # a network that runs on the accelerator
    fewest_frames: ClassVar[int] = 1
    one_by_one: ClassVar[bool] = False  # smaller batches take no less memory
    gives: ClassVar[str] = ""  # what a backend's numbers are, for lists

    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Names of the stages whose results are read."""

    def items(self, frames: Frames) -> list[str]:
        """Names of the items of a scene: stems, or the whole scene."""
        return [WHOLE] if self.whole else frames.stems

    def options(self) -> dict[str, Any]:
        """The options that decide the bytes, for the store's key."""
        assert is_dataclass(self)
        values = asdict(self)
        neutral = {f.name for f in fields(self) if f.metadata.get("neutral")}
        return {k: v for k, v in values.items() if k not in neutral}

    def weights(self) -> str | None:
        """Identity of the network's weights, for the store's key."""
        return None

    def outside(self, source: Source) -> dict[str, str]:
        """Content hashes of files from outside that are read, for the store's key."""
        return {}

    def check(self, source: Source) -> None:
        """Raise UserError for what cannot work with this scene; called before any work."""

    def terms(self) -> Terms | None:
        """The licence of the weights; None where there are none."""
        return None

    def fetch(self, say: Callable[[str], None]) -> None:
        """Bring what is downloaded, or raise UserError; called before ``weights``."""

    def inspect(self) -> None:
        """Raise UserError for weights that do not fit; called before any stage runs, where this
        one has something to do."""

    def batch(self, threads: int) -> int:
        """Items computed at once when the user leaves it open; ``threads``: cores to use."""
        return threads

    def setup(self, device: Any) -> None:
        """Make ready in the process that computes: load a network to ``device``."""

    def release(self) -> None:
        """Let go of what ``setup`` made: the next stage needs the device's memory."""

    @abstractmethod
    def load(self, inputs: Inputs, item: str) -> Sample:
        """Read what ``item`` needs."""

    @abstractmethod
    def compute(self, samples: Sequence[Sample]) -> Sequence[Output | Later[Output]]:
        """Compute a batch. Samples may be of several scenes, and so of several sizes."""

    @abstractmethod
    def write(self, writer: ItemWriter, inputs: Inputs, item: str, output: Output) -> None:
        """Write one item's files."""

    @abstractmethod
    def disk_bytes(self, frames: Frames) -> int:
        """How much a scene's result takes on disk, at most, in bytes."""


def each(function: Callable[[Sample], Output], samples: Sequence[Sample]) -> list[Output]:
    """``function`` of every sample, side by side: NumPy and OpenCV let go of the interpreter."""
    if len(samples) == 1:
        return [function(samples[0])]
    with ThreadPoolExecutor(len(samples)) as pool:
        return list(pool.map(function, samples))


def pixels(frames: Frames) -> int:
    """Pixels of all frames of a scene."""
    return len(frames) * frames.height * frames.width
