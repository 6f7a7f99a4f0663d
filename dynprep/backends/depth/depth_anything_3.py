"""Relative depth from Depth Anything 3's network for single images (Lin et al. 2025)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dynprep.arrays import BoolArray, Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import MapKind, RelativeMap
from dynprep.backends.depth_anything_3 import OneViewNetwork, ViewSample
from dynprep.models.inference import to_host
from dynprep.stages.base import Deferred
from dynprep.stages.depth import RelativeDepth


@dataclass
class DepthAnything3Relative(OneViewNetwork, RelativeDepth[ViewSample]):
    """Depth up to scale, and where there is sky, which has no disparity."""

    group = "depth"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def load(self, scene: Scene, item: str) -> ViewSample:
        return ViewSample(self.pixels(scene, item), scene.frames.size)

    def compute(self, samples: Sequence[ViewSample]) -> list[Deferred[RelativeMap]]:
        return [
            Deferred(partial(_as_map, to_host(depth), to_host(sky)))
            for depth, sky in self.predicted(samples)
        ]


def _as_map(depth: Callable[[], Float32Array], sky: Callable[[], BoolArray]) -> RelativeMap:
    return RelativeMap(depth(), MapKind.SCALED_DEPTH, sky())
