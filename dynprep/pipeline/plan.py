"""What a run will do: stages in order, each scene's results, what exists and what does not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.errors import UserError
from dynprep.scene.frames import Frames
from dynprep.scene.source import Source
from dynprep.stages.base import Stage
from dynprep.store import Recipe, Result, Store


def ordered(stages: Mapping[str, Stage]) -> list[str]:
    """Names of stages, each after those whose artefacts it reads, otherwise in the given order.

    Raises UserError for stages that need each other, and for one that is switched off.
    """
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
        for artefact in stages[name].reads():
            visit(artefact.name, (*above, name))
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
        """What the scene is called, which names its folder in the dataset."""
        return self.source.name

    def read(self) -> Scene:
        """The scene as its stages read it."""
        return Scene(self.name, self.frames, self.results, self.source)


@dataclass
class Plan:
    """Stages in order, which of them the user asked for, and the scenes.

    all_stages: everything that the wanted stages read, directly or not; stages: those of it that run or are shown.
    """

    all_stages: dict[str, Stage]
    stages: dict[str, Stage]
    wanted: tuple[str, ...]
    scenes: list[ScenePlan]
    store: Store
    _valid: dict[str, frozenset[str]] = field(default_factory=dict)

    def valid_items(self, result: Result) -> frozenset[str]:
        """Names of a result's items whose files are as they were written, looked up once: a long clip has T² files, and
        so many clips have, which is why their names and hashes are not kept."""
        if result.key not in self._valid:
            self._valid[result.key] = frozenset(result.valid_items())
        return self._valid[result.key]

    def forget(self, result: Result) -> None:
        """Look a result up anew: it is being written, or somebody else may have written it."""
        self._valid.pop(result.key, None)

    def todo(self, name: str, scene: ScenePlan) -> list[str]:
        """Items of a stage that are not complete in the store."""
        valid = self.valid_items(scene.results[name])
        return [item for item in self.stages[name].items(scene.frames) if item not in valid]

    def is_complete(self, name: str, scene: ScenePlan) -> bool:
        """Whether a scene's result is sealed and all of its files are valid."""
        result = scene.results[name]
        seal = result.seal()
        expected = set(self.all_stages[name].items(scene.frames))
        if seal is None or set(seal.items) != expected:
            return False
        return self.valid_items(result) == expected

    def exported(self) -> list[str]:
        """Names of the stages whose results a dataset of this plan shows: the frames, what was asked for, and what
        its own helpers make."""
        names = [Images.name]
        for name in self.wanted:
            helpers = [helper.name for helper in self.all_stages[name].helpers()]
            names += [*helpers, name]
        return [n for n in dict.fromkeys(names) if Artefact.registry[n].places]

    def complete_stages(self, scene: ScenePlan) -> list[str]:
        """Names of the stages that this run uses and whose result is complete, in order.

        Files of a helper that the run neither made nor read are not looked at.
        """
        read = {*self.stages, *self.exported()}
        return [
            name
            for name, result in scene.results.items()
            if (self.is_complete(name, scene) if name in read else result.seal() is not None)
        ]


def recipe(
    stage: Stage, results: Mapping[str, Result], outside: Mapping[str, str] | None = None
) -> Recipe:
    """The recipe of ``stage`` for a scene, given the results it reads.

    outside: content hashes of the files from outside that it reads.
    """
    inputs = {artefact.name: results[artefact.name].key for artefact in stage.reads()}
    return Recipe(
        stage=stage.name,
        backend=stage.backend_id,
        kind_version=stage.kind_version,
        backend_version=stage.backend_version,
        options=stage.key_options(),
        weights=stage.weights(),
        inputs={**inputs, **{f"file:{k}": v for k, v in (outside or {}).items()}},
    )


def make_plan(
    stages: Mapping[str, Stage],
    wanted: Sequence[str],
    scenes: Sequence[tuple[Source, Frames]],
    store: Store,
) -> Plan:
    """Work out every key. Nothing is computed and no file of a result is read; ``choose_stages`` comes next."""
    closure = _closure(stages, wanted)
    chosen = {name: stages[name] for name in ordered(stages) if name in closure}
    plan = Plan(chosen, dict(chosen), tuple(wanted), [], store)
    for source, frames in scenes:
        scene = ScenePlan(source, frames)
        for name, stage in chosen.items():
            scene.results[name] = store.result(recipe(stage, scene.results, stage.outside(source)))
        plan.scenes.append(scene)
    return plan


def choose_stages(plan: Plan, judged: Collection[str]) -> None:
    """Look at what the store has, and leave in the plan the stages that are needed.

    judged: names of the stages whose results a verdict looks at: helpers among them are made even where all that
    is made of them exists, so that the verdict does not depend on what the store happens to hold.

    Raises UserError when a stage that was not asked for is needed and not in the store.
    """
    for scene in plan.scenes:
        if plan.is_complete(Images.name, scene):
            scene.frames = Images.read_table(scene.results[Images.name])
    for scene in plan.scenes:
        for name in plan.wanted:
            if missing := sorted(_missing(plan, name, scene)):
                what = " and ".join(missing)
                raise UserError(
                    f"{name} needs {what} of scene '{scene.name}', which the store does not have: "
                    f"add {what} to stages, or run it first"
                )
    needed = _needed(plan, judged)
    plan.stages = {name: stage for name, stage in plan.stages.items() if name in needed}


def _missing(plan: Plan, name: str, scene: ScenePlan) -> set[str]:
    """Stages that ``name`` reads, itself or through helpers, that nobody asked for and that are
    not in the store."""
    if plan.is_complete(name, scene):
        return set()
    missing: set[str] = set()
    for artefact in plan.stages[name].reads():
        need = artefact.name
        if plan.stages[need].is_helper:
            missing |= _missing(plan, need, scene)
        elif need not in plan.wanted and not plan.is_complete(need, scene):
            missing.add(need)
    return missing


def _closure(stages: Mapping[str, Stage], wanted: Sequence[str]) -> set[str]:
    """The wanted stages and everything that they read, directly or not."""
    closure: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in closure and name in stages:
            closure.add(name)
            waiting += [artefact.name for artefact in stages[name].reads()]
    return closure


def _needed(plan: Plan, judged: Collection[str]) -> set[str]:
    """Stages to show or run: the wanted ones, unfinished ones that the dataset shows, and helpers that some
    unfinished stage reads, or that are judged."""
    needed = {Images.name}
    exported = plan.exported()
    unfinished = {
        name
        for name in plan.stages
        if any(not plan.is_complete(name, scene) for scene in plan.scenes)
    }
    for name in reversed(list(plan.stages)):
        wanted = name in plan.wanted or (name in exported and name in unfinished)
        is_gone = name in unfinished and any(
            scene.results[name].seal() is None for scene in plan.scenes
        )
        looked_at = plan.stages[name].is_helper and name in judged and is_gone
        asked = any(
            name in {artefact.name for artefact in plan.stages[n].reads()}
            for n in needed & unfinished
        )
        if wanted or asked or looked_at:
            needed.add(name)
    return needed
