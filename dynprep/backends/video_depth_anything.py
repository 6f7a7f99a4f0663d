"""What the backends with Video Depth Anything's network share (Chen et al. 2025).

Shapes: (H, W) pixels of ``images/``.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.images import Images
from dynprep.backends.network import Network
from dynprep.models.inference import to_host
from dynprep.options import AtLeastOne
from dynprep.stages.base import NEUTRAL
from dynprep.weights.tensors import fit, read_tensors

if TYPE_CHECKING:
    from torch import Tensor

_PUBLISHED_SIDE = 518  # pixels, of the shorter side that the network was trained with
_READERS = 2  # threads that make frames ready


@dataclass
class VideoDepthNetwork(Network):
    """The network over a clip: in windows that see frames before and after, or frame by frame.

    ``same_unit``: whether its values are in one unit for the whole clip.
    """

    variant: Literal["vits", "vitb", "vitl"]
    streaming: bool
    follow_resolution: bool
    at_once: AtLeastOne = field(metadata=NEUTRAL)

    backend_id = "video_depth_anything"
    keep_float32 = ("head.scratch.output_conv2",)
    same_unit = False
    smaller = "a smaller network, streaming=true, or a lower resolution.depth_input"

    def key_options(self) -> dict[str, Any]:
        return {**super().key_options(), "input": self.side}

    @property
    def side(self) -> int:
        """Pixels of the shorter side that the network sees."""
        return self.context.resolution.depth_input if self.follow_resolution else _PUBLISHED_SIDE

    def open_network(self) -> Any:
        from dynprep.models.video_depth_anything.network import UNUSED, VideoDepthAnything

        file = self.location().file()
        network = VideoDepthAnything(self.variant)
        where = f"{self.group}.checkpoint={file}"
        self.unknown = fit(network, read_tensors(file), UNUSED, where)
        return network

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.pretrained]


class ClipDepth:
    """A clip on its way through the network; frames are read ahead, and encoded once."""

    def __init__(self, stage: VideoDepthNetwork, scene: Scene) -> None:
        from dynprep.models.dinov2 import PATCH
        from dynprep.models.video_depth_anything.framing import input_size
        from dynprep.models.video_depth_anything.windows import Joiner

        self.stage, self.scene = stage, scene
        self.size = input_size(*scene.frames.size, stage.side)
        self.grid = self.size[0] // PATCH, self.size[1] // PATCH
        self._joiner = Joiner(stage.same_unit)
        self._read: dict[int, Future[Float32Array]] = {}
        self._features: dict[int, list[Tensor]] = {}

    @property
    def turned(self) -> int:
        """How many windows were joined by a scale below 0, once the maps have been taken."""
        return self._joiner.turned

    def maps(self) -> Iterator[Float32Array]:
        """The map (H, W) of each frame in turn."""
        count = len(self.scene.frames)
        with ThreadPoolExecutor(_READERS) as self._pool:
            maps = self._streamed(count) if self.stage.streaming else self._windowed(count)
            yield from itertools.islice(maps, count)  # a window's end may repeat the last frame

    def _windowed(self, count: int) -> Iterator[Float32Array]:
        from dynprep.models.video_depth_anything.windows import windows

        plan = list(windows(count))
        for numbers, following in zip(plan, [*plan[1:], []], strict=True):
            self._encode(numbers, following)
            yield from self._joiner.add(self._seen_at_once(numbers))
            self._features = {k: v for k, v in self._features.items() if k in following}
        yield from self._joiner.rest()

    def _seen_at_once(self, numbers: Sequence[int]) -> list[Float32Array]:
        """Maps (H, W) of frames that see each other."""
        import torch

        with self.stage.inference.inference(self.stage.device):
            levels = zip(*(self._features[k] for k in numbers), strict=True)
            features = [torch.cat(level) for level in levels]
            values, _ = self.stage.network.decode(features, self.grid)
            return list(to_host(self._full(values))())

    def _streamed(self, count: int) -> Iterator[Float32Array]:
        from dynprep.models.video_depth_anything.stream import Stream

        stream, step = Stream(), self.stage.at_once
        for start in range(0, count, step):
            numbers = range(start, min(start + step, count))
            self._encode(numbers, range(numbers.stop, min(numbers.stop + step, count)))
            for number in numbers:
                with self.stage.inference.inference(self.stage.device):
                    values, states = self.stage.network.decode(
                        self._features.pop(number), self.grid, stream.past()
                    )
                    stream.add(states)
                    one = to_host(self._full(values)[0])
                yield one()

    def _encode(self, numbers: Sequence[int], following: Sequence[int]) -> None:
        """Features of these frames, where there are none yet; the following ones are read meanwhile."""
        self._read_ahead(numbers)
        new = [k for k in dict.fromkeys(numbers) if k not in self._features]
        self._read_ahead([k for k in following if k not in numbers])
        step = self.stage.at_once
        for part in (new[k : k + step] for k in range(0, len(new), step)):
            images = self.stage.tensor([self._read.pop(k).result() for k in part])
            with self.stage.inference.inference(self.stage.device):
                levels = self.stage.network.encode(images.to(self.stage.inference.weights_dtype()))
            for place, number in enumerate(part):
                self._features[number] = [level[place : place + 1].clone() for level in levels]

    def _read_ahead(self, numbers: Sequence[int]) -> None:
        """Begin to make these frames ready, where that has not begun."""
        for number in numbers:
            if number not in self._read and number not in self._features:
                self._read[number] = self._pool.submit(self._input, number)

    def _input(self, number: int) -> Float32Array:
        from dynprep.models.video_depth_anything.framing import network_input

        return network_input(self.scene[Images].rgb(self.scene.frames.stems[number]), self.size)

    def _full(self, values: "Tensor") -> "Tensor":
        """values (T, h, w) -> (T, H, W), float32."""
        from torch.nn import functional as F

        size = self.scene.frames.size
        full = F.interpolate(values[:, None].float(), size, mode="bilinear", align_corners=True)
        return full[:, 0]
