"""What a run will do: stages in order, each scene's results, what is there and what is not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynprep.errors import UserError
from dynprep.scene.source import Source
from dynprep.stages.base import Stage
from dynprep.stages.inputs import Frames, Inputs
from dynprep.store import Item, Recipe, Result, Store

AnyStage = Stage[Any, Any]

# stages that others ask for; a user does not name them
HELPERS = (
    "images",
    "intrinsics",
    "camera_estimate",
    "frame_flow",
    "odometry",
    "structure",
    "alignment_fit",
)


def ordered(stages: Mapping[str, AnyStage]) -> list[str]:
    """Names so that each stage comes after those it needs; otherwise as given."""
    done: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise UserError(
                f"stages {' → '.join((*above, name))} need each other; change one of them"
            )
        if name in done:
            return
        if name not in stages:
            raise UserError(
                f"{above[-1]} needs {name}, which is switched off; choose a backend for {name}"
            )
        for need in stages[name].needs():
            visit(need, (*above, name))
        done.append(name)

    for name in stages:
        visit(name, ())
    return done


@dataclass
class ScenePlan:
    """One scene: its source, frames (estimated from headers until they are read) and results."""

    source: Source
    frames: Frames
    results: dict[str, Result] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.source.name

    def inputs(self) -> Inputs:
        """What its stages read."""
        return Inputs(self.name, self.frames, self.results, self.source)


@dataclass
class Plan:
    """Stages in order, which of them the user asked for, and the scenes."""

    stages: dict[str, AnyStage]
    wanted: tuple[str, ...]
    scenes: list[ScenePlan]
    store: Store
    verify: bool
    _sound: dict[str, dict[str, Item]] = field(default_factory=dict)

    def sound(self, result: Result) -> dict[str, Item]:
        """Whole items of a result, looked up once: a long clip has T² files."""
        if result.key not in self._sound:
            self._sound[result.key] = result.sound(self.verify)
        return self._sound[result.key]

    def forget(self, result: Result) -> None:
        """Look a result up anew: it is being written, or somebody else may have written it."""
        self._sound.pop(result.key, None)

    def todo(self, name: str, scene: ScenePlan) -> list[str]:
        """Items of a stage that are not whole in the store."""
        sound = self.sound(scene.results[name])
        return [item for item in self.stages[name].items(scene.frames) if item not in sound]

    def complete(self, name: str, scene: ScenePlan) -> bool:
        """Whether a scene's result is sealed and all of its files are sound."""
        result = scene.results[name]
        seal = result.seal()
        return seal is not None and len(self.sound(result)) == len(seal["items"])


def recipe(stage: AnyStage, source: Source, results: Mapping[str, Result]) -> Recipe:
    """The recipe of ``stage`` for a scene, given the results it reads."""
    kind = type(stage)
    inputs = {need: results[need].key for need in stage.needs()}
    return Recipe(
        stage=stage.name,
        version=stage.version,
        backend=f"{kind.__module__}.{kind.__qualname__}",
        options=stage.options(),
        weights=stage.weights(),
        inputs={**inputs, **{f"file:{k}": v for k, v in stage.outside(source).items()}},
    )


def make_plan(
    stages: Mapping[str, AnyStage],
    wanted: Sequence[str],
    scenes: Sequence[tuple[Source, Frames]],
    store: Store,
    verify: bool,
) -> Plan:
    """Work out every key without computing anything; keep the stages that are needed.

    Raises UserError when a stage that was not asked for is needed and not in the store.
    """
    order = [name for name in ordered(stages) if name in _closure(stages, wanted)]
    plan = Plan({n: stages[n] for n in order}, tuple(wanted), [], store, verify)
    for source, frames in scenes:
        scene = ScenePlan(source, frames)
        for name in order:
            scene.results[name] = store.result(recipe(stages[name], source, scene.results))
        plan.scenes.append(scene)
    for scene in plan.scenes:
        for name in plan.wanted:
            if missing := sorted(_missing(plan, name, scene)):
                what = " and ".join(missing)
                raise UserError(
                    f"{name} needs {what} of scene '{scene.name}', which the store does not have: "
                    f"add {what} to stages, or run it first"
                )
    needed = _needed(plan)
    plan.stages = {name: stage for name, stage in plan.stages.items() if name in needed}
    return plan


def _missing(plan: Plan, name: str, scene: ScenePlan) -> set[str]:
    """Stages that ``name`` reads, itself or through helpers, that nobody asked for and that are
    not in the store."""
    if plan.complete(name, scene):
        return set()
    found: set[str] = set()
    for need in plan.stages[name].needs():
        if need in HELPERS:
            found |= _missing(plan, need, scene)
        elif need not in plan.wanted and not plan.complete(need, scene):
            found.add(need)
    return found


def _closure(stages: Mapping[str, AnyStage], wanted: Sequence[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in found and name in stages:
            found.add(name)
            waiting += stages[name].needs()
    return found


def _needed(plan: Plan) -> set[str]:
    """Stages to show or run: the wanted ones, and helpers that some unfinished stage reads."""
    needed = {"images"}
    for name in reversed(list(plan.stages)):
        wanted = name in plan.wanted
        asked = any(
            name in plan.stages[n].needs()
            and any(not plan.complete(n, scene) for scene in plan.scenes)
            for n in needed
        )
        if wanted or asked:
            needed.add(name)
    return needed
