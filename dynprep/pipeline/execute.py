"""Runs what a plan lacks, stage by stage over all scenes."""

import platform
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dynprep import stopping
from dynprep.artefacts.images import Images
from dynprep.errors import UserError
from dynprep.files import free_bytes, human_bytes
from dynprep.links import LinkKind
from dynprep.pipeline.faults import plain_errors
from dynprep.pipeline.memory import device_peak, forget_peak, peak
from dynprep.pipeline.plan import Plan, ScenePlan
from dynprep.pipeline.scene_failures import SceneFailures
from dynprep.pipeline.task import Task
from dynprep.pipeline.times import Times
from dynprep.pipeline.trainer import TrainerOptions
from dynprep.stages.layout import LayoutStage
from dynprep.store.locks import Busy
from dynprep.version import __version__
from dynprep.watch import Say, Watch

# packages whose version may change a result's bytes
_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "av",
    "pillow",
    "lightning",
    "transformers",
    "diffusers",
)


@dataclass
class StageRun:
    """How a stage went.

    name, backend: the stage's, and its backend's id; made, found: items that were computed now, and that the store
    had; seconds: that it took; device: where it ran, such as ``1 cpu``; times: what the seconds went to; failed: why,
    by name, scenes could not be made while others could.
    """

    name: str
    backend: str
    made: int = 0
    found: int = 0
    seconds: float = 0.0
    device: str = ""
    times: Times | None = None
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.made / self.seconds if self.seconds > 0 else 0.0


@lru_cache
def versions() -> dict[str, str]:
    """Versions of dynprep, Python and the packages that results depend on."""
    numbers = {"dynprep": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            numbers[name] = "absent"
    return numbers


def disk_need(plan: Plan) -> int:
    """Bytes that the run will write to the store, at most."""
    need = 0
    for name, stage in plan.stages.items():
        for scene in plan.scenes:
            items = stage.items(scene.frames)
            share = len(plan.todo(name, scene)) / max(len(items), 1)
            need += round(stage.disk_bytes(scene.frames) * share)
    return need


def check_disk(plan: Plan, dataset_dir: Path, link: LinkKind) -> int:
    """The bytes that the run needs on the store's disk.

    link: how datasets show files of the store; where files must be copied, the dataset's disk needs room too.
    Raises UserError where a disk has less.
    """
    need = disk_need(plan)
    copied = 0
    on_one_disk = dataset_dir.stat().st_dev == plan.store.root.stat().st_dev
    if link == "copy" or (link != "symlink" and not on_one_disk):
        shown = [*plan.exported()]
        for stage in plan.all_stages.values():
            if isinstance(
                stage, LayoutStage
            ):  # a folder of its own, of what it makes and of what it reads
                shown += [stage.name, *(artefact.name for artefact in stage.reads())]
        copied = sum(
            plan.all_stages[name].disk_bytes(scene.frames)
            for name in shown
            for scene in plan.scenes
        )
    need += copied if on_one_disk else 0
    places = [("store_dir", plan.store.root, need)]
    if copied and not on_one_disk:
        places.append(("dataset_dir", dataset_dir, copied))
    for option, folder, bytes_needed in places:
        free = free_bytes(folder)
        if bytes_needed > free:
            raise UserError(
                f"{option}={folder}: about {human_bytes(bytes_needed)} are needed, "
                f"{human_bytes(free)} are free; free space, raise flow.rate, or choose another {option}"
            )
    return need


def run_stage(
    plan: Plan,
    name: str,
    options: TrainerOptions,
    batch_size: int | None,
    watch: Watch,
    say: Say,
    failures: SceneFailures | None = None,
) -> StageRun:
    """Make what the store lacks of one stage, for all scenes.

    Where another process is making the same result, waits for it and takes it. failures: takes scenes that fail, so
    that others go on; None lets the first one stop all.
    """
    stopping.check()
    stage = plan.stages[name]
    run = StageRun(name, stage.backend_id)
    forget_peak()
    with plain_errors("store_dir", plan.store.root), ExitStack() as held:
        tasks: list[Task] = []
        open_scenes: list[ScenePlan] = []
        # one order for all processes, so that no two wait for each other
        for scene in sorted(plan.scenes, key=lambda s: s.results[name].key):
            result = scene.results[name]
            if any(other.results[name].key == result.key for other in open_scenes):
                continue
            if not plan.is_complete(name, scene):
                lock = plan.store.lock(result)
                try:
                    held.enter_context(lock.hold(wait=False))
                except Busy:
                    say(f"{name} of {scene.name}: another process is making it, waiting")
                    held.enter_context(lock.hold())
                plan.forget(result)
            if plan.is_complete(name, scene):
                run.found += len(result.items())
                continue
            names = stage.items(scene.frames)
            valid = plan.valid_items(result).intersection(names)
            result.begin({k: item for k, item in result.items().items() if k in valid})
            run.found += len(valid)
            readable = scene.read()
            tasks += [Task(readable, result, item) for item in names if item not in valid]
            plan.forget(result)
            open_scenes.append(scene)
        alone = True
        if tasks:
            from dynprep.pipeline.predict import predict  # imports for seconds

            started = time.perf_counter()  # without imports and waiting for others
            with watch(name, len(tasks)) as advance:
                run.times = predict(stage, tasks, options, batch_size, advance, failures)
            run.seconds = time.perf_counter() - started
            where = options.resolve(len(tasks), stage.uses_device)
            alone = where["devices"] == 1
            run.device = f"{where['devices']} {where['accelerator']}"
        if failures is not None:
            run.failed = _failed(plan, name, failures)
        run.made = sum(task.scene.name not in run.failed for task in tasks)
        for scene in open_scenes:
            if scene.name in run.failed:
                continue
            terms = stage.terms()
            share = sum(task.result.key == scene.results[name].key for task in tasks)
            facts = {
                "versions": versions(),
                "device": run.device,
                "seconds": run.seconds * share / max(len(tasks), 1),
                "memory": peak() if alone else None,  # of other processes nothing is known
                "device_memory": device_peak() if alone else None,
                "licence": terms.licence if terms else None,
            }
            scene.results[name].close(stage.items(scene.frames), facts)
            plan.forget(scene.results[name])
    return run


def _failed(plan: Plan, name: str, failures: SceneFailures) -> dict[str, str]:
    """Why scenes failed, by name, with those that were to have the same result."""
    noted = failures.read()
    keys = {s.results[name].key: noted[s.name] for s in plan.scenes if s.name in noted}
    return {s.name: keys[s.results[name].key] for s in plan.scenes if s.results[name].key in keys}


def load_frame_table(scene: ScenePlan) -> None:
    """Replace the estimate from headers by the frames that were really extracted."""
    scene.frames = Images.read_table(scene.results[Images.name])
