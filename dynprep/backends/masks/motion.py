"""Masks of what moves against the camera's motion."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from dynprep.arrays import UInt8Array
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
        step = min(flow.offsets)
        earlier: deque[UInt8Array] = deque(maxlen=step)
        for found in self.moving(scene):
            carried = np.zeros(frames.size, np.uint8)
            if len(earlier) == step:
                carried = flow.carried(earlier[0], found.number - step, found.number)
            objects = ids.name(found.mask, carried)
            earlier.append(objects)
            ObjectMasks.write_objects(writer, frames, frames.stems[found.number], objects)
