"""Objects that a user marks with points, boxes or masks, in options or in a file."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from dynprep.arrays import BoolArray, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.backends.labelling import Labelling
from dynprep.backends.moving import Moving
from dynprep.errors import UserError
from dynprep.files import sha256
from dynprep.options import NotNegative
from dynprep.scene.frames import Frames
from dynprep.scene.prompts import Prompt, PromptShape, check_prompts, parse_prompt, read_prompts
from dynprep.scene.resolution import expected_frames
from dynprep.scene.source import Source
from dynprep.scene.truth import Truth
from dynprep.stages.base import NEUTRAL, Stage
from dynprep.store import ItemWriter
from dynprep.vision.mask_shape import clearest_part

AUTO = "auto"  # instead of a file of prompts: what moves most clearly


@dataclass
class Prompted(Moving):
    """The options of ``conf/_shared/prompts.yaml``, mixed into a stage that follows marked objects."""

    prompts: str | None = field(metadata=NEUTRAL)  # its content is in the key
    points: list[list[float]] | None = field(metadata=NEUTRAL)
    box: list[float] | None = field(metadata=NEUTRAL)
    frame: NotNegative = field(metadata=NEUTRAL)

    labels_cells: ClassVar[bool] = False  # whether the backend itself labels the cells of a grid

    def __post_init__(self) -> None:
        if self.prompts is not None and (self.points is not None or self.box is not None):
            raise ValueError("give either prompts, a file, or points and box")

    @property
    def is_auto(self) -> bool:
        """Whether what moves most clearly is marked."""
        return self.prompts == AUTO

    @abstractmethod
    def marked_ids(self, images: Images, frames: Frames, prompts: Sequence[Prompt]) -> UInt8Array:
        """Ids (H, W) of the objects that prompts of one frame mark on it, 0 for none, as they look at first sight.

        ``setup`` has been called. Raises UserError for a mark that holds nothing.
        """

    def prompt_reads(self) -> tuple[type[Artefact], ...]:
        """What is looked at to mark objects."""
        return self.motion_reads() if self.is_auto else (Images,)

    def ignored(self) -> dict[str, str]:
        used = {f.name for f in fields(Labelling if self.labels_cells else Stage)}
        motion = [f.name for f in fields(Moving) if f.name not in used]
        return {} if self.is_auto else dict.fromkeys(motion, "prompts is not auto")

    def marked(self, source: Source) -> tuple[list[Prompt], str]:
        """The prompts of a scene, and what they are called in messages."""
        if self.prompts is not None:
            path = Path(self.prompts).expanduser()
            return read_prompts(path, source.name), f"masks.prompts={path}, scene {source.name}"
        if self.points is None and self.box is None:
            raise UserError(
                "masks: nothing is marked; give masks.points=[[X,Y,1]] or masks.box=[LEFT,TOP,RIGHT,BOTTOM] with "
                "masks.frame=N, a file of prompts as masks.prompts=FILE, or masks.prompts=auto"
            )
        entry: PromptShape = {"object": 1, "frame": self.frame}
        if self.points is not None:
            entry["points"] = self.points
        if self.box is not None:
            entry["box"] = self.box
        return [parse_prompt(entry, Path(), "masks.points, masks.box")], "masks.points, masks.box"

    def check(self, source: Source) -> None:
        if self.is_auto:
            return
        prompts, where = self.marked(source)
        check_prompts(prompts, expected_frames(source.probe(), self.context.resolution), where)

    def outside(self, source: Source) -> dict[str, str]:
        if self.is_auto:
            return {"prompts": AUTO}
        prompts, _ = self.marked(source)
        entries = [
            [p.object, p.frame, p.points, p.box, sha256(p.mask) if p.mask else None]
            for p in prompts
        ]
        return {"prompts": hashlib.sha256(json.dumps(entries).encode()).hexdigest()}

    def for_known_clip(self, truth: Truth, frames: Frames) -> Self:
        """The largest object of the first frame, marked by a point in its middle."""
        labels = truth.label(frames.table[0].index)
        numbers, counts = np.unique(labels[labels > 0], return_counts=True)
        y, x = np.nonzero(labels == numbers[counts.argmax()])
        place = np.hypot(y - y.mean(), x - x.mean()).argmin()
        scale = frames.width / labels.shape[1], frames.height / labels.shape[0]
        point = [float(x[place]) * scale[0], float(y[place]) * scale[1], 1.0]
        return replace(self, prompts=None, box=None, points=[point], frame=0)

    def prompts_of(self, scene: Scene, writer: ItemWriter) -> list[Prompt]:
        """What is marked in a scene, which ``check`` has seen; with ``auto``, what moves most clearly."""
        if self.is_auto:
            return [self._clearest(scene, writer)]
        prompts, where = self.marked(scene.source)
        check_prompts(prompts, scene.frames, where)
        return prompts

    def _clearest(self, scene: Scene, writer: ItemWriter) -> Prompt:
        """What moves most clearly, on the frame where it does: large, fast against the noise, off the image's edge.

        Raises UserError for a clip in which nothing moves by itself."""
        best: tuple[float, int, BoolArray] | None = None
        for moving in self.moving(scene):
            region, clarity = clearest_part(moving.mask, moving.motion, moving.threshold)
            if clarity > 0 and (best is None or clarity > best[0]):
                best = clarity, moving.number, region
        if best is None:
            raise UserError(
                f"masks.prompts=auto: nothing in {scene.name} moves by itself; mark an object with masks.points"
            )
        _, number, region = best
        y, x = np.nonzero(region)
        writer.note(
            f"masks.prompts=auto: marked frame {number}, an object of {region.mean():.1%} of the image around "
            f"{x.mean():.0f}, {y.mean():.0f}"
        )
        return Prompt(1, number, region=region)
