"""All pairs from AllTracker (Harley et al. 2025): each frame encoded once a scene and process."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, Self

import cv2
import numpy as np

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.tracks import own_tracks
from dynprep.backends.network import Network
from dynprep.models.inference import InferenceOptions, Precision, free_memory
from dynprep.options import AtLeastOne, Positive
from dynprep.scene.frames import Frames
from dynprep.stages.base import NEUTRAL
from dynprep.stages.tracks import QueryTracks, Tracking
from dynprep.weights import read_tensors
from dynprep.weights.tensors import fit

if TYPE_CHECKING:
    from torch import Tensor

QueryFrame = tuple[Scene, str]  # a scene and the stem of its query frame

_MULTIPLE = 8  # of both sides of what the network sees
_AHEAD = 2  # frames read while one is encoded
_GIGA = 1e9
_FOR_MAPS = 0.5  # share of the memory that feature maps may take on the device


@dataclass
class AllTrackerFlow(Network, Tracking[QueryFrame]):
    """Dense tracks of a query frame's points through the clip."""

    variant: Literal["full", "tiny"]
    max_side: AtLeastOne
    upscale: bool
    precision: Precision
    iters: AtLeastOne
    memory_gb: Positive | None = field(metadata=NEUTRAL)
    together: AtLeastOne = field(metadata=NEUTRAL)

    backend_id = "alltracker"
    group = "flow"
    keep_float32 = ("flow_head.2", "visconf_head.2")

    @property
    def inference(self) -> InferenceOptions:
        """As the trainer says, in the precision that was chosen for this network."""
        return replace(self.context.inference, precision=self.precision)

    def in_precision(self, precision: Precision) -> Self:
        """The same network in another number format."""
        return replace(self, precision=precision)

    def key_options(self) -> dict[str, Any]:
        options = super().key_options()
        if not self.upscale:  # results from before there was this option keep their keys
            del options["upscale"]
        return options

    def effort(self, frames: Frames) -> str | None:
        seen = net_size(frames.size, self.max_side, self.upscale)
        plain = net_size(frames.size, self.max_side, upscale=False)
        more = seen[0] * seen[1] / (plain[0] * plain[1])
        if more <= 1:
            return None
        return (
            f"the network sees frames enlarged from {frames.width}x{frames.height} to {seen[1]}x{seen[0]}, "
            f"{more:.1f} times the work ({self.group}.upscale=false leaves them)"
        )

    def open_network(self) -> Any:
        from dynprep.models.alltracker.network import AllTracker

        file = self.location().file()
        network = AllTracker(self.variant)
        where = f"{self.group}.checkpoint={file}"
        self.unknown = fit(network, read_tensors(file), (), where)
        return network

    def modules_to_compile(self) -> Sequence[Any]:
        encoder = self.network.cnn if self.variant == "full" else self.network.fnet
        block = self.network.update_block
        heads = (self.network.flow_head, self.network.visconf_head)
        return [encoder, block.motion_encoder, *block.refine, *heads]

    def setup(self, device: Any) -> None:
        super().setup(device)
        self.maps_of = ""  # key of the images whose maps are held
        self.maps: Tensor | None = None

    def release(self) -> None:
        super().release()
        self.maps = None

    def load(self, scene: Scene, item: str) -> QueryFrame:
        return scene, item

    def compute(self, samples: Sequence[QueryFrame]) -> list[QueryTracks]:
        tracks: list[QueryTracks] = []
        # tasks come scene by scene
        for _, same in groupby(samples, lambda sample: sample[0].key(Images)):
            batch = list(same)
            scene = batch[0][0]
            tracks += self._track(scene, [scene.number(item) for _, item in batch])
        return tracks

    def _track(self, scene: Scene, queries: list[int]) -> list[QueryTracks]:
        """Tracks of some query frames of one scene."""
        from dynprep.models.alltracker.engine import AllPairs
        from dynprep.models.alltracker.network import Framing
        from dynprep.models.alltracker.readout import Readout

        frames = scene.frames
        framing = Framing(*net_size(frames.size, self.max_side, self.upscale))
        with self.inference.inference(self.device):
            maps = self._maps(scene, (framing.height, framing.width))
            readouts = [
                Readout(self.query_pixels(scene, query), frames.size, framing, self.device)
                for query in queries
            ]
            engine = AllPairs(self.network, maps, self.iters, self._budget(), self.together)
            wanted = [self.targets(query, frames) for query in queries]
            targets: list[dict[int, Float32Array]] = [{} for _ in queries]
            pixels = [readout.pixels for readout in readouts]
            for place, target, values in engine.tracks(queries, pixels, wanted):
                targets[place][target] = readouts[place].tracks(values).float().cpu().numpy()
        size = (framing.height, framing.width)
        return [
            QueryTracks(query, size, self._one_by_one(scene, query, tracks))
            for query, tracks in zip(queries, targets, strict=True)
        ]

    def _one_by_one(
        self, scene: Scene, query: int, tracks: dict[int, Float32Array]
    ) -> Iterator[tuple[int, Float32Array]]:
        """Targets with their tracks, let go of as they are taken."""
        yield query, own_tracks(self.query_pixels(scene, query))
        while tracks:
            yield tracks.popitem()

    def _budget(self) -> float:
        if self.memory_gb is not None:
            return self.memory_gb * _GIGA
        return free_memory(self.device)

    def _maps(self, scene: Scene, size: tuple[int, int]) -> "Tensor":
        """Feature maps (T, C, h, w) of the scene, on the device or, when they are large, pinned in
        the host's memory."""
        import torch

        key = scene.key(Images)
        if self.maps is not None and self.maps_of == key:
            return self.maps
        self.maps, self.maps_of = None, ""
        stems = scene.frames.stems

        def read(stem: str) -> UInt8Array:
            rgb = scene[Images].rgb(stem)
            if rgb.shape[:2] != size:  # as published: bilinear, no antialiasing
                rgb = np.asarray(cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_LINEAR))
            return np.ascontiguousarray(rgb.transpose(2, 0, 1))

        maps: Tensor | None = None
        with ThreadPoolExecutor(_AHEAD) as pool:
            for number, picture in enumerate(pool.map(read, stems)):
                one = self.network.encode(self.tensor([picture]).float())[0]
                if maps is None:
                    size_of_maps = one.numel() * one.element_size() * len(stems)
                    stays = size_of_maps <= _FOR_MAPS * self._budget() or self.device.type != "cuda"
                    where = self.device if stays else torch.device("cpu")
                    maps = torch.empty(
                        len(stems), *one.shape, dtype=one.dtype, device=where, pin_memory=not stays
                    )
                maps[number] = one
        assert maps is not None
        self.maps, self.maps_of = maps, key
        return maps


def net_size(image: tuple[int, int], max_side: int, upscale: bool) -> tuple[int, int]:
    """(h, w) that the network sees of an image (H, W), both multiples of 8.

    The long side becomes ``max_side``, as in the published demo; without ``upscale`` images that are smaller stay so.
    """
    scale = max_side / max(image)
    if not upscale:
        scale = min(1.0, scale)
    height, width = (max(_MULTIPLE, int(side * scale) // _MULTIPLE * _MULTIPLE) for side in image)
    return height, width
