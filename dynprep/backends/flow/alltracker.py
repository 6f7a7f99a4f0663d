"""All pairs from AllTracker (Harley et al. 2025): each frame encoded once a scene and process."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dynprep.backends.network import Network
from dynprep.models.inference import Precision, free_memory
from dynprep.stages.base import NEUTRAL
from dynprep.stages.flow import Array, Flow, Tracks, identity
from dynprep.stages.inputs import Inputs
from dynprep.weights import read_tensors
from dynprep.weights.tensors import fit

if TYPE_CHECKING:
    from torch import Tensor

Sample = tuple[Inputs, str]

_MULTIPLE = 8  # of both sides of what the network sees
_AHEAD = 2  # frames read while one is encoded
_GIGA = 1e9
_FOR_MAPS = 0.5  # share of the memory that feature maps may take on the device


@dataclass
class AllTrackerFlow(Network, Flow[Sample]):
    """Dense tracks of a query frame's points through the clip."""

    variant: Literal["full", "tiny"]
    max_side: int
    precision: Precision
    iters: int
    memory_gb: float | None = field(metadata=NEUTRAL)
    together: int = field(metadata=NEUTRAL)

    node = "flow"
    keep_float32 = ("flow_head.2", "visconf_head.2")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.running = replace(self.running, precision=self.precision)
        for name in ("max_side", "iters", "together"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.memory_gb is not None and self.memory_gb <= 0:
            raise ValueError(f"memory_gb is {self.memory_gb}; it must be above 0, or null")

    def open_network(self) -> Any:
        from dynprep.models.alltracker.network import AllTracker

        file = self.published().file()
        network = AllTracker(self.variant)
        fit(network, read_tensors(file), (), f"{self.node}.checkpoint={file}")
        return network

    def modules_to_compile(self) -> Sequence[Any]:
        encoder = self.network.cnn if self.variant == "full" else self.network.fnet
        block = self.network.update_block
        heads = (self.network.flow_head, self.network.visconf_head)
        return [encoder, block.motion_encoder, *block.refine, *heads]

    def setup(self, device: Any) -> None:
        super().setup(device)
        self.scene = ""  # whose maps are held
        self.maps: Tensor | None = None

    def release(self) -> None:
        super().release()
        self.maps = None

    def load(self, inputs: Inputs, item: str) -> Sample:
        return inputs, item

    def compute(self, samples: Sequence[Sample]) -> list[Tracks]:
        found: list[Tracks] = []
        first = 0
        while first < len(samples):  # tasks come scene by scene
            scene = samples[first][0]
            last = first
            while last < len(samples) and samples[last][0]["images"].key == scene["images"].key:
                last += 1
            found += self._scene(scene, [scene.number(item) for _, item in samples[first:last]])
            first = last
        return found

    def _scene(self, inputs: Inputs, queries: list[int]) -> list[Tracks]:
        from dynprep.models.alltracker.engine import AllPairs
        from dynprep.models.alltracker.network import Framing
        from dynprep.models.alltracker.readout import Readout

        frames = inputs.frames
        image = (frames.height, frames.width)
        framing = Framing(*net_size(image, self.max_side))
        with self.running.inference(self.device):
            maps = self._maps(inputs, (framing.height, framing.width))
            readouts = [
                Readout(self.points(inputs, query), image, framing, self.device)
                for query in queries
            ]
            engine = AllPairs(self.network, maps, self.iters, self._budget(), self.together)
            wanted = [self.targets(query, frames) for query in queries]
            found: list[dict[int, Array]] = [{} for _ in queries]
            pixels = [readout.pixels for readout in readouts]
            for place, target, values in engine.tracks(queries, pixels, wanted):
                found[place][target] = readouts[place].tracks(values).float().cpu().numpy()
        return [
            Tracks(query, (framing.height, framing.width), self._told(inputs, query, tracks))
            for query, tracks in zip(queries, found, strict=True)
        ]

    def _told(
        self, inputs: Inputs, query: int, tracks: dict[int, Array]
    ) -> Iterator[tuple[int, Array]]:
        yield query, identity(self.points(inputs, query))
        while tracks:  # given away one by one, so that memory falls as files are written
            yield tracks.popitem()

    def _budget(self) -> float:
        if self.memory_gb is not None:
            return self.memory_gb * _GIGA
        return free_memory(self.device)

    def _maps(self, inputs: Inputs, size: tuple[int, int]) -> "Tensor":
        """Feature maps (T, C, h, w) of the scene, on the device or, when they are large, pinned in
        the host's memory."""
        import torch

        scene = inputs["images"].key
        if self.maps is not None and self.scene == scene:
            return self.maps
        self.maps, self.scene = None, ""
        stems = inputs.frames.stems

        def read(stem: str) -> NDArray[np.uint8]:
            rgb = inputs.rgb(stem)
            if rgb.shape[:2] != size:  # as published: bilinear, no antialiasing
                rgb = cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_LINEAR)
            return np.ascontiguousarray(rgb.transpose(2, 0, 1))

        maps: Tensor | None = None
        with ThreadPoolExecutor(_AHEAD) as pool:
            for number, picture in enumerate(pool.map(read, stems)):
                one = self.network.encode(self.tensor([picture]).float())[0]
                if maps is None:
                    whole = one.numel() * one.element_size() * len(stems)
                    stays = whole <= _FOR_MAPS * self._budget() or self.device.type != "cuda"
                    where = self.device if stays else torch.device("cpu")
                    maps = torch.empty(
                        len(stems), *one.shape, dtype=one.dtype, device=where, pin_memory=not stays
                    )
                maps[number] = one
        assert maps is not None
        self.maps, self.scene = maps, scene
        return maps


def net_size(image: tuple[int, int], max_side: int) -> tuple[int, int]:
    """(h, w) that the network sees of an image (H, W): at most ``max_side``, multiples of 8."""
    scale = min(1.0, max_side / max(image))
    height, width = (max(_MULTIPLE, int(side * scale) // _MULTIPLE * _MULTIPLE) for side in image)
    return height, width
