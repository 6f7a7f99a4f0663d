"""A few frames whose depth and tracks are known, as the stages of a recipe read them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dynprep.artefacts.images import Images
from dynprep.pipeline.execute import load_frame_table, run_stage
from dynprep.pipeline.plan import Plan, ScenePlan, choose_stages, make_plan
from dynprep.pipeline.trainer import TrainerOptions, one_thread_an_image
from dynprep.scene.data import Data
from dynprep.scene.resolution import Resolution, expected_frames
from dynprep.scene.truth import Truth
from dynprep.stages.base import Stage
from dynprep.store import Store
from dynprep.watch import no_progress


@dataclass
class KnownClip:
    """A scene in a store of its own, what is true of it, and how its other stages are run."""

    scene: ScenePlan
    truth: Truth
    plan: Plan
    trainer: TrainerOptions

    def make_ready(self, stage: str) -> None:
        """Compute what ``stage`` reads."""
        for artefact in self.plan.all_stages[stage].reads():
            name = artefact.name
            if self.plan.is_complete(name, self.scene):
                continue
            self.make_ready(name)
            run_stage(self.plan, name, self.trainer, None, no_progress, _silent)
            if name == Images.name:
                load_frame_table(self.scene)


@contextmanager
def known_clip(
    data: Data,
    resolution: Resolution,
    stages: Mapping[str, Stage],
    wanted: Sequence[str],
    trainer: TrainerOptions,
) -> Iterator[KnownClip]:
    """The demo in a temporary folder. data: the demo's options; wanted: names of stages that the user asked for."""
    one_thread_an_image()
    with TemporaryDirectory(prefix="dynprep-check-") as folder:
        store = Store(Path(folder) / "store")
        (source,) = data.sources(store)
        assert source.truth is not None
        frames = expected_frames(source.probe(), resolution)
        truth = Truth(source.truth)
        known = {name: stage.for_known_clip(truth, frames) for name, stage in stages.items()}
        plan = make_plan(known, wanted, [(source, frames)], store)
        choose_stages(plan, ())
        yield KnownClip(plan.scenes[0], truth, plan, trainer)


def _silent(line: str) -> None:
    """Show nothing."""
