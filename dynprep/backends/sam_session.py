"""The video networks of SAM 2 and SAM 3 run frame by frame: pictures are read when they are needed, and memories that
the network no longer looks at are let go.

Images become what the published processors make of them: brought to the network's square by bilinear interpolation
with antialiasing, rounded to whole numbers, and normalised by a mean and a deviation of each channel. Masks come back
from the network's low resolution by bilinear interpolation.

Shapes: (H, W) pixels of ``images/``, S the side of the network's square, N objects.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dynprep.arrays import BoolArray, Float32Array
from dynprep.artefacts.images import Images
from dynprep.scene.frames import Frames
from dynprep.scene.prompts import Prompt, drawn

_BOX_LABELS = (2, 3)  # of a box's first and last corner, as the prompt encoder knows them
_CONDITIONED, _FOLLOWED = "cond_frame_outputs", "non_cond_frame_outputs"
_LARGE = ("pred_masks", "high_res_masks")  # of an output, what no later frame looks at
_MEMORY = (
    "maskmem_features",
    "maskmem_pos_enc",
)  # looked at for fewer frames than the object's pointer


@dataclass(frozen=True)
class Sam:
    """What tells one generation of the network from another.

    session: the library's class that holds a clip's state; mean, std: of red, green and blue in 0..1.
    """

    session: Any
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Pictures:
    """Frames (3, S, S) by number, made when the session asks for one; as long as the clip, so that the network knows
    its length."""

    def __init__(
        self, images: Images, frames: Frames, side: int, dtype: torch.dtype, sam: Sam
    ) -> None:
        self.images, self.frames, self.side, self.dtype, self.sam = images, frames, side, dtype, sam

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: int) -> Tensor:
        rgb = self.images.rgb(self.frames.stems[number])
        whole = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float()
        size = (self.side, self.side)
        square = F.interpolate(whole, size, mode="bilinear", align_corners=False, antialias=True)
        scaled = square.round().clamp(0, 255)[0] / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (self.sam.mean, self.sam.std))
        return ((scaled - mean) / std).to(self.dtype)


class Follower:
    """Follows objects through one clip. ids: of the objects, in the order of the scores."""

    def __init__(self, network: Any, device: Any, images: Images, frames: Frames, sam: Sam) -> None:
        self.network, self.device, self.frames = network, device, frames
        self.side = int(network.config.image_size)
        self.memory = Memory.of(network.config)
        self.session = new_session(network, device, images, frames, sam)
        self.ids: list[int] = []

    def follow(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, Float32Array]]:
        """Yield each frame's number and its scores (N, H, W), above 0 on the object: first forward from the first
        marked frame, then backward from it."""
        marked = sorted({prompt.frame for prompt in prompts})
        for frame in marked:  # in this order, so that each object is marked before it is looked for
            self.mark(frame, [prompt for prompt in prompts if prompt.frame == frame])
        start = marked[0]
        for reverse, order in (
            (False, range(start, len(self.frames))),
            (True, range(start - 1, -1, -1)),
        ):
            for frame in order:
                output = self.network(self.session, frame_idx=frame, reverse=reverse)
                yield frame, self._scores(output.pred_masks)
                self.memory.let_go(self.session, frame, start, reverse)

    def mark(self, frame: int, prompts: Sequence[Prompt]) -> Float32Array:
        """Give the network the prompts of one frame; returns the frame's scores (N, H, W)."""
        for prompt in prompts:
            self._add(prompt)
        self.session.obj_with_new_inputs = [prompt.object for prompt in prompts]
        output = self.network(self.session, frame_idx=frame)
        self.ids = list(self.session.obj_ids)
        return self._scores(output.pred_masks)

    def _add(self, prompt: Prompt) -> None:
        """Give the session one prompt, in pixels of the network's square."""
        place = self.session.obj_id_to_idx(prompt.object)
        region = prompt.region if prompt.mask is None else drawn(prompt.mask)
        if region is not None:
            self.session.add_mask_inputs(place, prompt.frame, self._square(region))
            return
        corners = [prompt.box[:2], prompt.box[2:]] if prompt.box else []
        at = [*corners, *((x, y) for x, y, _ in prompt.points)]
        labels = [*_BOX_LABELS[: len(corners)], *(int(inside) for _, _, inside in prompt.points)]
        scale = torch.tensor([self.side / self.frames.width, self.side / self.frames.height])
        inputs = {
            "point_coords": (torch.tensor(at, dtype=torch.float32) * scale)[None, None],
            "point_labels": torch.tensor(labels, dtype=torch.int32)[None, None],
        }
        self.session.add_point_inputs(place, prompt.frame, inputs)

    def _square(self, region: BoolArray) -> Tensor:
        """A region (H, W) as zeros and ones (1, 1, S, S)."""
        whole = torch.from_numpy(region.astype(np.float32))[None, None]
        size = (self.side, self.side)
        square = F.interpolate(whole, size, mode="bilinear", align_corners=False, antialias=True)
        return (square >= 0.5).float()

    def _scores(self, masks: Tensor) -> Float32Array:
        """Scores (N, H, W) of the network's masks (N, 1, h, w)."""
        return at_full_size(masks[:, 0], self.frames)


def new_session(network: Any, device: Any, images: Images, frames: Frames, sam: Sam) -> Any:
    """The library's session of a clip, which reads frames when it needs them."""
    session = sam.session(
        video_height=frames.height,
        video_width=frames.width,
        inference_device=device,
        inference_state_device=device,
        dtype=network.dtype,
    )
    side = int(network.config.image_size)
    session.processed_frames = Pictures(images, frames, side, network.dtype, sam)
    return session


def at_full_size(masks: Tensor, frames: Frames) -> Float32Array:
    """Scores (N, H, W) of masks (N, h, w) at the network's low resolution."""
    full = F.interpolate(masks[:, None].float(), frames.size, mode="bilinear", align_corners=False)
    scores: Float32Array = full[:, 0].cpu().numpy()
    return scores


@dataclass(frozen=True)
class Memory:
    """How many frames back the network looks at a memory (``memory``), and at an object's pointer (``reach``)."""

    memory: int
    reach: int

    @staticmethod
    def of(config: Any) -> "Memory":
        """As a network's configuration says."""
        memory = int(config.num_maskmem) - 1
        return Memory(memory, max(memory, int(config.max_object_pointers_in_encoder)))

    def let_go(self, session: Any, frame: int, start: int, reverse: bool) -> None:
        """Drop, after ``frame``, what the frames to come do not look at: memory must not grow with the clip.

        Frames next to the one that the walk starts from stay, since the way back begins with them; so do marked frames,
        of which there are few.
        """
        step = -1 if reverse else 1
        for outputs in session.output_dict_per_obj.values():
            for kind in (_CONDITIONED, _FOLLOWED):
                for number, output in list(outputs[kind].items()):
                    for name in _LARGE:
                        if kind == _FOLLOWED or name != "pred_masks":
                            output.pop(name, None)
                    if kind == _CONDITIONED:
                        continue
                    behind = (frame - number) * step
                    near = not reverse and 0 <= number - start <= self.reach
                    if behind > self.reach and not near:
                        del outputs[kind][number]
                    elif behind > self.memory and not near:
                        for name in _MEMORY:
                            output.pop(name, None)

    def let_go_of_conditioned(self, session: Any, frame: int, most: int) -> None:
        """The same of frames on which the network itself has marked objects, in a walk that only goes forward.

        most: how many such frames an object is looked for by; of older ones the pointer alone is.
        """
        for outputs in session.output_dict_per_obj.values():
            conditioned = outputs[_CONDITIONED]
            for place, number in enumerate(sorted(conditioned, reverse=True)):
                output = conditioned[number]
                for name in _LARGE:
                    output.pop(name, None)
                for name in _MEMORY:
                    if place >= most and frame + 1 - number > self.memory:
                        output.pop(name, None)
                    elif number == frame and isinstance(output.get(name), Tensor):
                        # a part of all objects' memories would keep all of them
                        output[name] = output[name].clone()
