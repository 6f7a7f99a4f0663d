"""The clip that objects are marked in: its frames in the store, and the backend that finds and follows them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from dynprep.arrays import UInt8Array
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.prompted import Prompted
from dynprep.config.build import settings
from dynprep.config.compose import compose_config
from dynprep.errors import UserError
from dynprep.pipeline.execute import load_frame_table, run_stage
from dynprep.pipeline.plan import ScenePlan, choose_stages, make_plan
from dynprep.pipeline.trainer import one_thread_an_image
from dynprep.scene.frames import Frames
from dynprep.scene.prompts import Prompt
from dynprep.scene.resolution import expected_frames
from dynprep.scene.source import Source
from dynprep.store import Store
from dynprep.watch import Say, Watch

# Stages run in the process that answers requests from threads, and so must not fork readers.
_ONE_PROCESS = ("trainer.readers=0", "trainer.devices=1")


class Clip:
    """One scene with its frames in the store, and the backend of ``masks``.

    overrides: as on the command line, among them ``data``, ``dataset_dir`` and ``store_dir``; say: shows a line; watch:
    follows the stages that run. Raises UserError where they name several scenes, or a backend that takes no prompts.
    """

    def __init__(self, overrides: Sequence[str], say: Say, watch: Watch) -> None:
        one_thread_an_image()
        self._settings = chosen = settings(*compose_config([*_ONE_PROCESS, *overrides]))
        self._say, self._watch = say, watch
        self.backend = chosen.choices[ObjectMasks.name]
        stage = chosen.stages[ObjectMasks.name]
        if not isinstance(stage, Prompted):
            raise UserError(
                f"masks={self.backend}: takes no prompts; choose masks=propagate, SAM 2 or SAM 3"
            )
        if stage.prompts is not None or stage.points is not None or stage.box is not None:
            raise UserError(
                "pick: masks.prompts, masks.points and masks.box are what it makes; leave them out"
            )
        try:  # a backend that is told in words what to look for takes no marks beside
            replace(cast(Any, stage), prompts="prompts.yaml")
        except ValueError as error:
            raise UserError(f"pick: masks: {error}") from None
        self._stage = stage
        self._store = Store(Path(chosen.run.store_dir).expanduser(), chosen.store.verify, say=say)
        self._source, expected = self._only_scene()
        stage.fetch(say)
        self._scene = self._made(Images.name, expected)
        self._is_ready = False  # whether the backend's network is loaded

    def _only_scene(self) -> tuple[Source, Frames]:
        sources = list(self._settings.data.sources(self._store))
        if len(sources) != 1:
            names = ", ".join(source.name for source in sources[:4])
            raise UserError(f"pick: marks one clip at a time; name one of {names}")
        return sources[0], expected_frames(sources[0].probe(), self._settings.resolution)

    @property
    def name(self) -> str:
        """What the scene is called in a file of prompts."""
        return self._source.name

    @property
    def frames(self) -> Frames:
        """The frames of ``images/``."""
        return self._scene.frames

    def image_file(self, number: int) -> Path:
        """The file of a frame. Raises IndexError for one that is not there."""
        return self._images.path(self.frames.stems[number])

    @property
    def _images(self) -> Images:
        return self._scene.read()[Images]

    def marked(self, prompts: Sequence[Prompt]) -> UInt8Array:
        """Ids (H, W) of the objects that the prompts of one frame mark on it, 0 for none."""
        if not self._is_ready:
            where = self._settings.trainer.resolve(1, self._stage.uses_device)["accelerator"]
            self._stage.setup(torch.device("cuda" if where == "gpu" else where))
            self._is_ready = True
        return self._stage.marked_ids(self._images, self.frames, prompts)

    def follow(self, file: Path) -> None:
        """Make the masks of the whole clip from a file of prompts, or find them in the store."""
        self.release()
        scene = self._made(ObjectMasks.name, self.frames, file)
        self._masks = scene.read()[ObjectMasks]

    def followed(self, number: int) -> UInt8Array:
        """Ids (H, W) of the objects of a frame, once they have been followed. Raises IndexError for a frame that is not
        there."""
        return self._masks.objects(self.frames.stems[number])

    def release(self) -> None:
        """Let go of the backend's network."""
        if self._is_ready:
            self._stage.release()
            self._is_ready = False

    def _made(self, name: str, frames: Frames, file: Path | None = None) -> ScenePlan:
        """The scene with the result of a stage, and of what it reads."""
        stages = dict(self._settings.stages)
        if file is not None:
            changed: Any = replace(cast(Any, self._stage), prompts=str(file))
            stages[ObjectMasks.name] = changed
        chosen, run = self._settings, self._settings.run
        stages[name].check(self._source)
        wanted = [*dict.fromkeys((Images.name, *self._settings.with_what_it_reads(name)))]
        plan = make_plan(stages, wanted, [(self._source, frames)], self._store)
        choose_stages(plan, ())
        scene = plan.scenes[0]
        for stage in plan.stages:
            plan.stages[stage].inspect()
            run_stage(plan, stage, chosen.trainer, run.batch_size, self._watch, self._say)
            if stage == Images.name:
                load_frame_table(scene)
        return scene
