"""Objects that a user marked, followed through the clip by SAM 2 (Ravi et al. 2024), from ``transformers``."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from dynprep.arrays import UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.network import Network
from dynprep.errors import UserError
from dynprep.files import sha256
from dynprep.foreign import read_json
from dynprep.options import NotNegative
from dynprep.scene.frames import Frames
from dynprep.scene.prompts import Prompt, PromptShape, check_prompts, parse_prompt, read_prompts
from dynprep.scene.resolution import expected_frames
from dynprep.scene.source import Source
from dynprep.scene.truth import Truth
from dynprep.stages.base import NEUTRAL
from dynprep.stages.masks import ClipMasks
from dynprep.store import ItemWriter
from dynprep.vision.mask_shape import MaskShape
from dynprep.weights.tensors import damaged, mismatch

_KIND = "sam2_video"


@dataclass
class Sam2Masks(Network, ClipMasks):
    """Masks of the objects that prompts mark, each with its id, forward and backward from the first marked frame."""

    prompts: str | None = field(metadata=NEUTRAL)  # its content is in the key
    points: list[list[float]] | None = field(metadata=NEUTRAL)
    box: list[float] | None = field(metadata=NEUTRAL)
    frame: NotNegative = field(metadata=NEUTRAL)
    fill_holes: bool
    min_area: NotNegative
    erode: NotNegative
    dilate: NotNegative

    backend_id = "sam2"
    group = "masks"

    def __post_init__(self) -> None:
        if self.prompts is not None and (self.points is not None or self.box is not None):
            raise ValueError("give either prompts, a file, or points and box")

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def marked(self, source: Source) -> tuple[list[Prompt], str]:
        """The prompts of a scene, and what they are called in messages."""
        if self.prompts is not None:
            path = Path(self.prompts).expanduser()
            return read_prompts(path, source.name), f"masks.prompts={path}, scene {source.name}"
        if self.points is None and self.box is None:
            raise UserError(
                "masks: nothing is marked; give masks.points=[[X,Y,1]] or masks.box=[LEFT,TOP,RIGHT,BOTTOM] with "
                "masks.frame=N, or a file of prompts as masks.prompts=FILE"
            )
        entry: PromptShape = {"object": 1, "frame": self.frame}
        if self.points is not None:
            entry["points"] = self.points
        if self.box is not None:
            entry["box"] = self.box
        return [parse_prompt(entry, Path(), "masks.points, masks.box")], "masks.points, masks.box"

    def check(self, source: Source) -> None:
        prompts, where = self.marked(source)
        check_prompts(prompts, expected_frames(source.probe(), self.context.resolution), where)

    def outside(self, source: Source) -> dict[str, str]:
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

    def open_network(self) -> Any:
        from transformers import Sam2VideoModel
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        folder = self.location().folder()
        config = read_json(folder / "config.json", dict[str, Any])
        where = f"{self.group}.checkpoint={folder}"
        if config.get("model_type") != _KIND:
            raise UserError(
                f"{where}: a {config.get('model_type')} network; this backend runs {_KIND}"
            )
        try:
            network, report = Sam2VideoModel.from_pretrained(
                folder,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except Exception as error:  # whatever the library finds wrong with the files
            raise damaged(folder, error) from None
        other = [(k, tuple(a), tuple(b)) for k, a, b in report["mismatched_keys"]]
        if wrong := mismatch(sorted(report["missing_keys"]), other):
            raise UserError(f"{where}: {wrong}")
        return network

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        from dynprep.backends.sam2_session import Follower

        prompts, where = self.marked(scene.source)
        check_prompts(prompts, scene.frames, where)
        shape = MaskShape(self.fill_holes, self.min_area, self.erode, self.dilate)
        with self.inference.inference(self.device):
            follower = Follower(self.network, self.device, scene[Images], scene.frames)
            empty = 0
            for number, scores in follower.follow(prompts):
                ids = _owners(scores, follower.ids, shape)
                empty += not ids.any()
                ObjectMasks.write_objects(writer, scene.frames, scene.frames.stems[number], ids)
        if empty:
            writer.note(f"SAM 2 found no object on {empty} of {len(scene.frames)} frames")

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.vision_encoder]


def _owners(scores: Any, ids: Sequence[int], shape: MaskShape) -> UInt8Array:
    """Ids (H, W) of scores (objects, H, W): where several are above 0, the highest has the pixel."""
    found = np.zeros(scores.shape[1:], np.uint8)
    best = scores.argmax(0)
    for place, number in enumerate(ids):
        mask = shape.apply((scores[place] > 0) & (best == place))
        found[mask & (found == 0)] = number
    return found
