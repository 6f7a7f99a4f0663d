"""SAM 3 looks for what words describe, on every frame, and follows it (Carion et al. 2025).

The library's loop, run frame by frame so that memory does not grow with the clip. What the library leaves to a package
of compiled kernels, which it would download and run, is done here: suppression of detections of one thing, and the
sizes of connected components by which small holes are filled and small specks removed.

Shapes: (H, W) pixels of ``images/``, (h, w) pixels of the network's masks, N objects.
"""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from transformers.models.sam3_video import modeling_sam3_video

from dynprep.arrays import Float32Array
from dynprep.artefacts.images import Images
from dynprep.backends.sam_session import Memory, Sam, at_full_size, new_session
from dynprep.scene.frames import Frames

_WORDS = 32  # tokens of a text, padded to this number as the published processor does
_LEAST = 1e-6  # score of an object that the tracker gives none


class DescribedNetwork(modeling_sam3_video.Sam3VideoModel):  # type: ignore[misc]
    """SAM 3's video network with a fault of the library mended.

    On a frame on which an object is dropped as a mistake, ``transformers`` 5.23 pairs the ids that are left with the
    masks and scores of all, so that objects get each other's.
    """

    def run_tracker_propagation(
        self, inference_session: Any, **options: Any
    ) -> tuple[Tensor, Tensor]:
        masks, scores = super().run_tracker_propagation(
            inference_session=inference_session, **options
        )
        self._tracked = list(inference_session.obj_ids), scores  # before any is dropped
        return masks, scores

    def build_outputs(self, inference_session: Any, **options: Any) -> dict[int, Tensor]:
        tracked = SimpleNamespace(obj_ids=self._tracked[0])  # the ids that the masks are of
        outputs: dict[int, Tensor] = super().build_outputs(inference_session=tracked, **options)
        return outputs

    def forward(self, *arguments: Any, **options: Any) -> Any:
        output = super().forward(*arguments, **options)
        ids, scores = self._tracked
        sure = scores.float().sigmoid().flatten().tolist()
        output.obj_id_to_tracker_score.update(zip(ids, sure, strict=True))
        return output


class TextFollower:
    """Finds and follows what texts describe through one clip, from its first frame on."""

    def __init__(
        self, network: Any, device: Any, images: Images, frames: Frames, sam: Sam, tokenizer: Any
    ) -> None:
        _use_own_kernels()
        self.network, self.device, self.frames, self._tokenizer = network, device, frames, tokenizer
        self.session = new_session(network, device, images, frames, sam)
        self.memory = Memory.of(network.config.tracker_config)

    def follow(self, texts: Sequence[str]) -> Iterator[tuple[int, list[int], Float32Array]]:
        """Yield each frame's number, the library's ids of its objects, and their scores (N, H, W), above 0 on the
        object.

        Outputs are held back for as many frames as the network takes to drop what it has found by mistake.
        """
        for text in texts:
            place = self.session.add_prompt(text)
            encoded = self._tokenizer(
                text, return_tensors="pt", padding="max_length", max_length=_WORDS, truncation=True
            ).to(self.device)
            self.session.prompt_input_ids[place] = encoded.input_ids
            self.session.prompt_attention_masks[place] = encoded.attention_mask
        waiting: list[Any] = []
        for frame in range(len(self.frames)):
            output = self.network(self.session, frame_idx=frame)
            self.session.hotstart_removed_obj_ids.update(output.removed_obj_ids)
            waiting.append(output)
            self._let_go(frame)
            if len(waiting) >= max(1, self.network.hotstart_delay):
                yield self._scored(waiting.pop(0))
        for output in waiting:
            yield self._scored(output)

    def _let_go(self, frame: int) -> None:
        """Drop what the frames after ``frame`` do not look at."""
        session = self.session
        self.memory.let_go(session, frame, start=-len(self.frames), reverse=False)
        most = int(self.network.config.tracker_config.max_cond_frame_num)
        self.memory.let_go_of_conditioned(session, frame, most)
        for by_frame in (
            *session.mask_inputs_per_obj.values(),
            *session.frames_tracked_per_obj.values(),
        ):
            by_frame.clear()
        # the frame's output has them
        session.obj_id_to_tracker_score_frame_wise.clear()
        session.suppressed_obj_ids.clear()

    def _scored(self, output: Any) -> tuple[int, list[int], Float32Array]:
        """What one frame shows: of objects that overlap, the one that the tracker is surest of has the higher score."""
        hidden = self.session.hotstart_removed_obj_ids | set(output.suppressed_obj_ids or ())
        ids = [number for number in sorted(output.obj_id_to_mask) if number not in hidden]
        if not ids:
            return output.frame_idx, [], np.zeros((0, *self.frames.size), np.float32)
        masks = at_full_size(torch.cat([output.obj_id_to_mask[k] for k in ids]), self.frames)
        sure = [max(_LEAST, float(output.obj_id_to_tracker_score.get(k, 0.0))) for k in ids]
        scores = np.where(masks > 0, np.asarray(sure, np.float32)[:, None, None], np.float32(-1))
        return output.frame_idx, ids, scores


class _Kernels:
    """What the library asks its kernels for, by the definitions of its own documentation."""

    @staticmethod
    def generic_nms(
        ious: Tensor, probabilities: Tensor, threshold: float, use_iou_matrix: bool = True
    ) -> Tensor:
        """Places (K,) of detections that stay: from the surest on, each drops those that overlap it by more than
        ``threshold``. ious (N, N); probabilities (N,)."""
        overlap = (ious > threshold).cpu().numpy()
        is_open = np.ones(len(overlap), bool)
        kept = []
        for place in torch.argsort(probabilities, descending=True, stable=True).tolist():
            if is_open[place]:
                kept.append(place)
                is_open &= ~overlap[place]
        return torch.tensor(kept, dtype=torch.int64, device=ious.device)

    @staticmethod
    def cc_2d(masks: Tensor, get_counts: bool = True) -> tuple[Tensor, Tensor]:
        """Connected components, diagonals included, of masks (N, 1, h, w), and each pixel's component's size, 0 outside
        of all."""
        labels, sizes = [], []
        for mask in masks[:, 0].cpu().numpy().astype(np.uint8):
            count, parts = cv2.connectedComponents(mask, connectivity=8)
            areas = np.bincount(parts.ravel(), minlength=count)
            areas[0] = 0
            labels.append(parts)
            sizes.append(areas[parts])
        stacked = (np.stack(v)[:, None].astype(np.int32) for v in (labels, sizes))
        object_masks, counts = (torch.from_numpy(v).to(masks.device) for v in stacked)
        return object_masks, counts


def _use_own_kernels() -> None:
    """Have the library use these kernels instead of looking for its own on the hub."""
    modeling_sam3_video.cv_utils_kernel = _Kernels()
