"""Objects that a user marked, followed through the clip by SAM 2 (Ravi et al. 2024), from ``transformers``."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from dynprep.arrays import BoolArray, Float32Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.motion import CameraPath, ParallaxMaps
from dynprep.backends.hugging_face import load_network
from dynprep.backends.moving import Moving
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
from dynprep.vision.mask_shape import MaskShape, clearest_part

_KIND = "sam2_video"
_AUTO = "auto"  # instead of a file of prompts


@dataclass
class Sam2Masks(Moving, Network, ClipMasks):
    """Masks of the objects that prompts mark, each with its id, forward and backward from the first marked frame.

    With ``prompts=auto`` what moves most clearly is marked.
    """

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

    @property
    def _is_auto(self) -> bool:
        return self.prompts == _AUTO

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, CameraPath, ParallaxMaps) if self._is_auto else (Images,)

    def ignored(self) -> dict[str, str]:
        names = [f.name for f in fields(Moving) if f.name != "context"]
        return {} if self._is_auto else dict.fromkeys(names, "prompts is not auto")

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
        if self._is_auto:
            return
        prompts, where = self.marked(source)
        check_prompts(prompts, expected_frames(source.probe(), self.context.resolution), where)

    def outside(self, source: Source) -> dict[str, str]:
        if self._is_auto:
            return {"prompts": _AUTO}
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

        folder = self.location().folder()
        kind = read_json(folder / "config.json", dict[str, Any]).get("model_type")
        if kind != _KIND:
            where = f"{self.group}.checkpoint={folder}"
            raise UserError(f"{where}: a {kind} network; this backend runs {_KIND}")
        return load_network(Sam2VideoModel, folder, self.group)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        from dynprep.backends.sam2_session import Follower

        if self._is_auto:
            prompts = [self._clearest(scene, writer)]
        else:
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

    def _clearest(self, scene: Scene, writer: ItemWriter) -> Prompt:
        """What moves most clearly, on the frame where it does: large, fast against the noise, off the image's edge.

        Raises UserError for a clip in which nothing moves by itself."""
        best: tuple[float, int, BoolArray] | None = None
        for number, stem in enumerate(scene.frames.stems):
            sample = self.motion_of(scene, stem)
            region, clarity = clearest_part(
                self.moving(sample), sample.motion, self.threshold(sample)
            )
            if clarity > 0 and (best is None or clarity > best[0]):
                best = clarity, number, region
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

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.vision_encoder]


def _owners(scores: Float32Array, ids: Sequence[int], shape: MaskShape) -> UInt8Array:
    """Ids (H, W) of scores (objects, H, W): where several are above 0, the highest has the pixel.

    Shaping gives an object background alone: it takes nothing from another one.
    """
    best = scores.argmax(0)
    owner = np.where(scores.max(0) > 0, np.asarray(ids, np.uint8)[best], 0).astype(np.uint8)
    shaped = np.zeros_like(owner)
    claims = np.full(scores.shape[1:], -np.inf, np.float32)  # the score of who has claimed a pixel
    for place, number in enumerate(ids):
        is_free = (owner == number) | (owner == 0)
        claimed = shape.apply(owner == number) & is_free & (scores[place] > claims)
        shaped[claimed] = number
        claims[claimed] = scores[place][claimed]
    return shaped
