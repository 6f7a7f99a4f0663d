"""Objects that a user marked, followed through the clip by SAM 2 (Ravi et al. 2024), from ``transformers``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.hugging_face import load_network
from dynprep.backends.network import Network
from dynprep.backends.prompted import Prompted
from dynprep.errors import UserError
from dynprep.foreign import read_json
from dynprep.options import NotNegative
from dynprep.scene.frames import Frames
from dynprep.scene.prompts import Prompt
from dynprep.stages.masks import ClipMasks
from dynprep.store import ItemWriter
from dynprep.vision.mask_shape import MaskShape

_KIND = "sam2_video"


@dataclass
class Sam2Masks(Prompted, Network, ClipMasks):
    """Masks of the objects that prompts mark, each with its id, forward and backward from the first marked frame.

    With ``prompts=auto`` what moves most clearly is marked.
    """

    fill_holes: bool
    min_area: NotNegative
    erode: NotNegative
    dilate: NotNegative

    backend_id = "sam2"
    group = "masks"

    def reads(self) -> tuple[type[Artefact], ...]:
        return self.prompt_reads()

    def open_network(self) -> Any:
        from transformers import Sam2VideoModel

        folder = self.location().folder()
        kind = read_json(folder / "config.json", dict[str, Any]).get("model_type")
        if kind != _KIND:
            where = f"{self.group}.checkpoint={folder}"
            raise UserError(f"{where}: a {kind} network; this backend runs {_KIND}")
        return load_network(Sam2VideoModel, folder, self.group)

    def marked_ids(self, images: Images, frames: Frames, prompts: Sequence[Prompt]) -> UInt8Array:
        from dynprep.backends.sam2_session import Follower

        with self.inference.inference(self.device):
            follower = Follower(self.network, self.device, images, frames)
            scores = follower.mark(prompts[0].frame, prompts)
        return _owners(scores, follower.ids, self._shape)

    @property
    def _shape(self) -> MaskShape:
        return MaskShape(self.fill_holes, self.min_area, self.erode, self.dilate)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        from dynprep.backends.sam2_session import Follower

        prompts = self.prompts_of(scene, writer)
        with self.inference.inference(self.device):
            follower = Follower(self.network, self.device, scene[Images], scene.frames)
            empty = 0
            for number, scores in follower.follow(prompts):
                ids = _owners(scores, follower.ids, self._shape)
                empty += not ids.any()
                ObjectMasks.write_objects(writer, scene.frames, scene.frames.stems[number], ids)
        if empty:
            writer.note(f"SAM 2 found no object on {empty} of {len(scene.frames)} frames")

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
