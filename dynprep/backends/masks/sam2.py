"""Objects that a user marked, followed through the clip by SAM 2 (Ravi et al. 2024), from ``transformers``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from dynprep.backends.sam_session import Sam


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

        return load_network(Sam2VideoModel, self.folder_of("sam2_video"), self.group)

    def folder_of(self, kind: str) -> Path:
        """The folder of the weights. Raises UserError where they are of another kind of network."""
        folder = self.location().folder()
        stated = read_json(folder / "config.json", dict[str, Any]).get("model_type")
        if stated != kind:
            where = f"{self.group}.checkpoint={folder}"
            raise UserError(f"{where}: a {stated} network; this backend runs {kind}")
        return folder

    def sam(self) -> "Sam":
        """The library's session of this network, and how its processor normalises images: by ImageNet's values."""
        from transformers import Sam2VideoInferenceSession

        from dynprep.backends.sam_session import Sam

        return Sam(Sam2VideoInferenceSession, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def marked_ids(self, images: Images, frames: Frames, prompts: Sequence[Prompt]) -> UInt8Array:
        from dynprep.backends.sam_session import Follower

        with self.inference.inference(self.device):
            follower = Follower(self.network, self.device, images, frames, self.sam())
            scores = follower.mark(prompts[0].frame, prompts)
        return owners(scores, follower.ids, self.shape)

    @property
    def shape(self) -> MaskShape:
        """What is done to masks before they are written."""
        return MaskShape(self.fill_holes, self.min_area, self.erode, self.dilate)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        from dynprep.backends.sam_session import Follower

        prompts = self.prompts_of(scene, writer)
        with self.inference.inference(self.device):
            follower = Follower(self.network, self.device, scene[Images], scene.frames, self.sam())
            empty = 0
            for number, scores in follower.follow(prompts):
                ids = owners(scores, follower.ids, self.shape)
                empty += not ids.any()
                ObjectMasks.write_objects(writer, scene.frames, scene.frames.stems[number], ids)
        if empty:
            writer.note(f"no object was found on {empty} of {len(scene.frames)} frames")

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.vision_encoder]


def owners(scores: Float32Array, ids: Sequence[int], shape: MaskShape) -> UInt8Array:
    """Ids (H, W) of scores (objects, H, W): where several are above 0, the highest has the pixel.

    Shaping gives an object background alone: it takes nothing from another one.
    """
    if not len(ids):
        return np.zeros(scores.shape[1:], np.uint8)
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
