"""Surface normals from MoGe-2 (Wang et al. 2025).

Shapes: (H, W) pixels of ``images/``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.backends.moge import LIKELY, MoGeNetwork, MoGeSample, frame
from dynprep.backends.network import group_by_shape
from dynprep.models.inference import to_host
from dynprep.stages.base import Deferred
from dynprep.stages.normals import SurfaceNormals


@dataclass
class MoGeNormals(MoGeNetwork, SurfaceNormals[MoGeSample]):
    """Normals as the network gives them; 0, 0, 0 where it sees no surface, such as in the sky."""

    group = "normals"
    heads = ("normal_head",)

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def load(self, scene: Scene, item: str) -> MoGeSample:
        return MoGeSample(frame(scene, item))

    def compute(self, samples: Sequence[MoGeSample]) -> list[Deferred[Float32Array]]:
        normals: list[Deferred[Float32Array] | None] = [None] * len(samples)
        for places in group_by_shape(samples, lambda s: s.size):
            raw = self.infer([samples[k] for k in places], with_normals=True)
            assert raw.normals is not None
            maps = raw.normals
            if raw.finite is not None:
                maps = maps * (raw.finite > LIKELY)[..., None]
            for k, one in zip(places, maps, strict=True):
                normals[k] = Deferred(to_host(one.contiguous()))
        return [one for one in normals if one is not None]
