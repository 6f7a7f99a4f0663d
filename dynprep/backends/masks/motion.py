"""Masks of what moves against the camera's motion."""

from dataclasses import dataclass

import numpy as np

from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.motion import OpticalFlow
from dynprep.backends.moving import Moving
from dynprep.stages.masks import ClipMasks
from dynprep.store import ItemWriter
from dynprep.vision.object_ids import ObjectIds


@dataclass
class MotionMasks(Moving, ClipMasks):
    """What shows a flow that no static point could show, in any frame of the clip, cut out along colour edges."""

    backend_id = "motion"
    backend_version = 2

    def reads(self) -> tuple[type[Artefact], ...]:
        return self.motion_reads()

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        ids = ObjectIds()
        frames, flow = scene.frames, scene[OpticalFlow]
        objects = np.zeros(frames.size, np.uint8)
        for moving in self.moving(scene):
            if moving.number:
                objects = flow.carried(objects, moving.number - 1, moving.number)
            objects = ids.name(moving.mask, objects)
            ObjectMasks.write_objects(writer, frames, frames.stems[moving.number], objects)
