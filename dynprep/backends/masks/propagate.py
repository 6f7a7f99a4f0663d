"""Objects that a user marked, carried through the clip by flow and colour; no weights.

Shapes: (H, W) pixels of ``images/``, (h, w) cells of a coarse grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dynprep.arrays import BoolArray, Float32Array, UInt8Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.motion import OpticalFlow
from dynprep.backends.flow_links import FlowLinks
from dynprep.backends.prompted import Prompted
from dynprep.errors import UserError
from dynprep.options import AtLeastOne, OpenShare, Positive, Share
from dynprep.scene.frames import Frames
from dynprep.scene.prompts import Prompt, drawn
from dynprep.scene.resolution import resize
from dynprep.stages.masks import ClipMasks
from dynprep.store import ItemWriter
from dynprep.vision.appearance import log_odds
from dynprep.vision.marked_region import marked_region

_LITTLE = np.float32(1e-3)  # trust in what lies where a cell that has lost its trace was
_COVERED = 0.1  # share of a cell above which an object is in it


@dataclass
class PropagatedMasks(Prompted, ClipMasks):
    """Each marked object's mask, carried from frame to frame along the flow, forward and backward from the
    first marked frame of the clip.

    What the flow brings is weighed against what colours and places say that the object has had so far, and the sum is
    cut out along colour edges.
    """

    carry: AtLeastOne
    margin: Share
    memory: OpenShare
    flow_weight: Positive
    support: Share

    cites = ("rother2004grabcut",)
    backend_id = "propagate"
    backend_version = 2
    labels_cells = True

    def reads(self) -> tuple[type[Artefact], ...]:
        both = dict.fromkeys((*self.prompt_reads(), Images, OpticalFlow))
        return tuple(both)

    def ignored(self) -> dict[str, str]:
        time = {} if self.is_auto else {"time": "masks are carried from frame to frame"}
        return super().ignored() | time

    def marked_ids(self, images: Images, frames: Frames, prompts: Sequence[Prompt]) -> UInt8Array:
        ids = np.zeros(frames.size, np.uint8)
        for prompt in sorted(prompts, key=lambda p: p.object, reverse=True):
            if not _takes_away(prompt):
                ids[_marked(images.rgb(frames.stems[prompt.frame]), prompt)] = prompt.object
        return ids

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        prompts = self.prompts_of(scene, writer)
        frames, first = scene.frames, min(p.frame for p in prompts)
        links = FlowLinks(scene[OpticalFlow], self.cells(frames), self.carry)
        empty = 0
        for order in (range(first, len(frames)), range(first, -1, -1)):
            objects = {
                number: _Carried(self, scene, links, [p for p in prompts if p.object == number])
                for number in sorted({p.object for p in prompts}, reverse=True)
            }
            for frame in order:
                ids = np.zeros(frames.size, np.uint8)
                rgb = scene[Images].rgb(frames.stems[frame])
                for number, carried in objects.items():
                    mask = carried.mask(frame, rgb)
                    ids[mask] = number  # the lowest id is in front where two meet
                if frame == first and order.step < 0:
                    continue  # the forward walk has written it
                empty += not ids.any()
                ObjectMasks.write_objects(writer, frames, frames.stems[frame], ids)
        if empty:
            writer.note(f"no object is left on {empty} of {len(frames)} frames")


class _Carried:
    """One object on its way through the clip, from the first frame that marks it on."""

    def __init__(
        self, options: PropagatedMasks, scene: Scene, links: FlowLinks, marks: Sequence[Prompt]
    ) -> None:
        self._o, self._frames, self._links = options, scene.frames, links
        self._cells = options.cells(scene.frames)
        self._marks = {p.frame: p for p in marks}
        self._model = options.appearance()
        self._known: dict[int, Float32Array] = {}  # masks of the last frames, as shares of cells

    def mask(self, number: int, rgb: UInt8Array) -> BoolArray:
        """The mask (H, W) of the next frame (H, W, 3); empty before the object was marked."""
        colours = resize(rgb, self._cells)
        mark = self._marks.get(number)
        if mark is not None and not _takes_away(mark):
            mask = _marked(rgb, mark)
            near = self._around(self._shares(mask))
        elif not self._known:
            return np.zeros(self._frames.size, bool)
        else:
            carried, trust = self._brought(number)
            near = self._around(carried) & ~self._taken(mark)
            appearance = self._model(self._model.inputs(colours, 0.0, _middle(carried)))
            odds = log_odds(appearance) + self._o.flow_weight * trust * log_odds(carried)
            mask = self._o.cut(rgb, np.where(near, odds, -np.abs(odds)), self._frames)
            mask = self._supported(mask, carried)
        shares = self._shares(mask)
        self._known[number] = shares
        for old in [n for n in self._known if abs(n - number) >= self._o.carry]:
            del self._known[old]
        if shares.max() > 0:
            if mark is None:
                self._model.fade(self._o.memory)
            inputs = self._model.inputs(colours, 0.0, _middle(shares))[near]
            self._model.add(inputs, shares[near], np.ones(len(inputs)))
        return mask

    def _shares(self, mask: BoolArray) -> Float32Array:
        """Which share of each cell (h, w) a mask (H, W) covers."""
        return resize(mask.astype(np.float32), self._cells)

    def _brought(self, number: int) -> tuple[Float32Array, Float32Array]:
        """What the flow brings from known frames, as shares of cells, and how much it is to be trusted, (h, w)."""
        total, weights = np.zeros(self._cells, np.float32), np.zeros(self._cells, np.float32)
        for link in self._links.of(number):
            if link.other in self._known:
                weight = np.maximum(link.trust, _LITTLE)
                total += weight * link.read(self._known[link.other])
                weights += weight
        carried: Float32Array = np.divide(total, np.maximum(weights, _LITTLE), dtype=np.float32)
        return carried, np.minimum(weights, 1)

    def _supported(self, mask: BoolArray, carried: Float32Array) -> BoolArray:
        """The parts of a mask (H, W) that the flow brings too: what only has its colours is no part of the object."""
        size = mask.shape[::-1]
        brought = cv2.resize(carried, size, interpolation=cv2.INTER_LINEAR)
        count, parts = cv2.connectedComponents(mask.astype(np.uint8))
        areas = np.bincount(parts.ravel(), minlength=count)
        share = np.bincount(parts.ravel(), brought.ravel(), minlength=count) / np.maximum(areas, 1)
        share[0] = 0
        supported: BoolArray = (share >= self._o.support)[parts] & mask
        return supported

    def _taken(self, mark: Prompt | None) -> BoolArray:
        """Cells (h, w) that points outside of the object take from what is carried."""
        taken = np.zeros(self._cells, np.uint8)
        height, width = self._cells
        scale = width / self._frames.width, height / self._frames.height
        for x, y, _ in mark.points if mark is not None else ():
            reach = max(1, round(self._o.margin * max(self._cells) / 2))
            cv2.circle(taken, (int(x * scale[0]), int(y * scale[1])), reach, 1, cv2.FILLED)
        return taken > 0

    def _around(self, share: Float32Array) -> BoolArray:
        """Cells (h, w) that the object may have reached."""
        reach = 2 * round(self._o.margin * max(self._cells)) + 1
        return cv2.dilate((share > _COVERED).astype(np.uint8), np.ones((reach, reach))) > 0


def _takes_away(mark: Prompt) -> bool:
    """Whether a mark has nothing but points outside of the object."""
    return (
        mark.box is None
        and mark.mask is None
        and mark.region is None
        and not any(inside for *_, inside in mark.points)
    )


def _marked(rgb: UInt8Array, mark: Prompt) -> BoolArray:
    """The region (H, W) that a mark gives on its frame. Raises UserError where it is empty."""
    if mark.mask is not None:
        region = drawn(mark.mask)
    elif mark.region is not None:
        region = mark.region
    else:
        region = marked_region(rgb, mark.points, mark.box)
    if not region.any():
        raise UserError(
            f"masks: what marks object {mark.object} on frame {mark.frame} holds no pixel of an object; mark it by a "
            "larger box, by more points, or by a drawn mask"
        )
    return region


def _middle(share: Float32Array) -> tuple[float, float]:
    """The centre (x, y) of shares (h, w), in cells; the grid's own where there is nothing."""
    y, x = np.mgrid[: share.shape[0], : share.shape[1]]
    total = float(share.sum())
    if total <= 0:
        return share.shape[1] / 2, share.shape[0] / 2
    return float((share * x).sum()) / total, float((share * y).sum()) / total
