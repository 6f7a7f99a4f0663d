"""What every artefact is: the one class that knows the files, numbers, pictures and scores of a result."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from dynprep.arrays import AnyArray, UInt8Array
from dynprep.artefacts.display import Curve, Display
from dynprep.artefacts.files import Files, Place
from dynprep.evenly import evenly
from dynprep.scene.frames import Frames
from dynprep.scene.source import Source
from dynprep.store import NotFinite, Result

Scores = dict[str, float]
Picture = Callable[[Any, "SceneResults", str], UInt8Array]
AnArtefact = TypeVar("AnArtefact", bound="Artefact")
Value = TypeVar("Value")
_ABSENT: Any = object()


@dataclass(frozen=True)
class Scorer:
    """A function that scores an artefact, and the other artefacts that it reads.

    name: names the scores in the store, whichever file the function stands in; version: raised when the same
    results give other scores; compute: takes the artefact's class, the scene's results and, where
    ``against_truth``, the truth; reads: the other artefacts that it looks at.
    """

    name: str
    compute: Callable[..., Scores]
    reads: tuple["type[Artefact]", ...] = ()
    version: int = 1
    against_truth: bool = False


@dataclass(frozen=True)
class Agreement:
    """How alike two results of one artefact are.

    measure: what is measured, for people; per_frame: of two scenes at a stem, 1 for equal results, NaN where
    nothing can be said.
    """

    measure: str
    per_frame: "Callable[[SceneResults, SceneResults, str], float]"


class Artefact:
    """Reads one result of a scene. Each class is one kind of thing that is stored.

    A class says of itself, and an omission is an error when its file is imported:

    - ``name``: of its stage, its results in the store and its scores
    - ``title``: above its pictures
    - ``what``: what its numbers are, in lists of backends
    - ``unit``: of its maps' values, empty where they have none
    - ``places``: where its files lie in a dataset, empty where they do not
    - ``picture``: draws a frame of it, None where there is nothing to see
    - ``scorers``: functions that score it, against truth and without
    - ``agreement``: how two of it are compared, None where they are not

    It may have a ``video_title``, and is then shown as a video too, and a ``display`` other than pictures, which says
    what ``displayed`` gives for a page.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    what: ClassVar[str]
    unit: ClassVar[str]
    places: ClassVar[tuple[Place, ...]]
    picture: ClassVar[Picture | None]
    scorers: ClassVar[tuple[Scorer, ...]]
    agreement: ClassVar[Agreement | None]
    video_title: ClassVar[str] = ""
    display: ClassVar[Display] = Display.PICTURE

    REQUIRED: ClassVar[tuple[str, ...]] = (
        "name",
        "title",
        "what",
        "unit",
        "places",
        "picture",
        "scorers",
        "agreement",
    )
    registry: ClassVar[dict[str, "type[Artefact]"]] = {}

    def __init_subclass__(cls, is_abstract: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        if is_abstract:
            return
        missing = [name for name in Artefact.REQUIRED if not hasattr(cls, name)]
        if missing:
            raise TypeError(f"artefact {cls.__name__} does not say its {', '.join(missing)}")
        other = Artefact.registry.setdefault(cls.name, cls)
        if other.__qualname__ != cls.__qualname__:
            raise TypeError(f"{cls.__name__} and {other.__name__} are both called '{cls.name}'")

    def __init__(self, files: Files, frames: Frames) -> None:
        self.files, self.frames = files, frames

    def linked(self) -> dict[Place, list[str]]:
        """Names of the files that lie in each place of a dataset."""
        return {}

    def composed(self) -> dict[Place, Any]:
        """JSON values, by place, that a dataset holds in one file and the store in several."""
        return {}

    def as_arrays(self) -> Any:
        """Everything that was stored, in memory, as ``dynprep.backend`` returns it."""
        raise NotImplementedError(f"{type(self).__name__} is not read as arrays")

    def drawable_stems(self) -> list[str]:
        """Stems of the frames that ``picture`` can draw."""
        return self.frames.stems

    def displayed(self, scene: "SceneResults", stem: str) -> AnyArray:
        """A frame in the form that ``display`` names."""
        assert self.picture is not None
        return self.picture(scene, stem)

    def displayable_stems(self) -> list[str]:
        """Stems of the frames that ``displayed`` can give."""
        return self.drawable_stems()

    def displayed_unit(self, scene: "SceneResults") -> str:
        """The unit of what ``displayed`` gives, empty where it has none."""
        return self.unit

    @property
    def least_span(self) -> tuple[float, float] | None:
        """Values that the colours of ``displayed`` span at least; None where its own values decide."""
        return None

    def label_colour(self, label: int) -> tuple[int, int, int]:
        """Red, green and blue, 0..255, of what ``displayed`` calls ``label``, where it gives labels."""
        raise NotImplementedError(f"{type(self).__name__} has no labels")

    def curves(self, scene: "SceneResults") -> list[Curve]:
        """Numbers over frames that are worth a chart."""
        return []

    def video(self, scene: "SceneResults", count: int) -> Iterator[UInt8Array]:
        """The pictures (H, W, 3) of its video, of at most ``count`` evenly spaced frames."""
        assert self.picture is not None
        for stem in evenly(self.drawable_stems(), count):
            yield self.picture(scene, stem)


@dataclass(frozen=True)
class SceneResults:
    """The frames and results of one scene, wherever they were made. Picklable.

    ``scene[PairTracks]`` is the scene's result of that kind, ready to be read.
    """

    name: str
    frames: Frames
    results: Mapping[str, Result]
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False, kw_only=True)

    def __getitem__(self, artefact: type[AnArtefact]) -> AnArtefact:
        return self.once(artefact, lambda: artefact(self.results[artefact.name], self.frames))

    def __contains__(self, artefact: type[Artefact]) -> bool:
        return artefact.name in self.results

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}

    def only(self, stages: Iterable[str]) -> "SceneResults":
        """The scene with the results of some stages alone, such as those that are complete."""
        return SceneResults(self.name, self.frames, {name: self.results[name] for name in stages})

    def key(self, artefact: type[Artefact]) -> str:
        """The key of the scene's result of that kind."""
        return self.results[artefact.name].key

    def once(self, what: Any, make: Callable[[], Value]) -> Value:
        """The value that ``make`` gives, made once in this process; ``what`` names it."""
        value: Value = self._cache.get(what, _ABSENT)
        if value is _ABSENT:
            value = self._cache[what] = make()
        return value

    def forget(self) -> None:
        """Let go of what ``once`` keeps; it is made again where it is asked for."""
        self._cache.clear()

    def number(self, stem: str) -> int:
        """The number of the frame called ``stem``: stems are zero-padded numbers."""
        return int(stem)


@dataclass(frozen=True)
class Scene(SceneResults):
    """Everything that a stage may read of one scene: the results made before, and the source itself."""

    source: Source


def check_values(
    values: AnyArray, what: str, shape: tuple[int, ...], dtype: type[np.generic] | None = None
) -> None:
    """Hold what is about to be written against what its artefact promises.

    what: for messages, such as ``depth of frame 00003``. Raises NotFinite for NaN and infinity, ValueError
    for another shape or dtype, which are a backend's fault.
    """
    if values.shape != shape:
        raise ValueError(f"{what}: its shape is {values.shape}, {shape} is meant")
    if dtype is not None and values.dtype != dtype:
        raise ValueError(f"{what}: its dtype is {values.dtype}, {np.dtype(dtype)} is meant")
    if values.dtype.kind == "f":
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise NotFinite(
                f"{what}: {bad} of {values.size} values are not finite; of a network's output, use "
                "trainer.precision=bf16-true or 32-true and check its weights; else check the input"
            )
