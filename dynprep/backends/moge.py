"""What the backends with MoGe-2's network share (Wang et al. 2025).

Shapes: B frames of one size, (H, W) pixels of ``images/``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from dynprep.arrays import Float64Array, UInt8Array
from dynprep.artefacts.base import Scene
from dynprep.artefacts.images import Images
from dynprep.backends.network import Network
from dynprep.errors import UserError
from dynprep.options import Range
from dynprep.weights.tensors import fit, read_checkpoint, read_tensors

if TYPE_CHECKING:
    from dynprep.models.moge.network import RawGeometry

LIKELY = 0.5  # probability from which on a pixel counts as having a finite depth, as published
_CONFIG = "model_config"  # in the checkpoint, the network's sizes


@dataclass(frozen=True)
class MoGeSample:
    """image (3, H, W) uint8; camera [fx, fy, cx, cy] in pixels of ``images/``, None: to be seen."""

    image: UInt8Array
    camera: Float64Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.image.shape[1], self.image.shape[2]


@dataclass
class MoGeNetwork(Network):
    """MoGe-2 with its weights and sizes, both from the checkpoint."""

    level: Annotated[float, Range(least=0, most=9)]

    backend_id = "moge_2"
    keep_float32 = (
        "points_head.output_blocks.4",
        "mask_head.output_blocks.4",
        "normal_head.output_blocks.4",
        "scale_head",
    )
    heads: ClassVar[tuple[str, ...]]  # that the network must have

    def open_network(self) -> Any:
        from dynprep.models.moge.config import configured
        from dynprep.models.moge.network import UNUSED, MoGe2

        file = self.location().file()
        where = f"{self.group}.checkpoint={file}"
        content = read_checkpoint(file)
        if _CONFIG not in content:
            raise UserError(
                f"{where}: holds no {_CONFIG}, from which the network's sizes are read; use the file of "
                f"the hub's {self.hub}"
            )
        network = MoGe2(configured(content[_CONFIG], f"{where}: {_CONFIG}"))
        for head in self.heads:
            if not hasattr(network, head):
                raise UserError(f"{where}: has no {head}; use the file of the hub's {self.hub}")
        self.unknown = fit(network, read_tensors(file), UNUSED, where)
        return network

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.encoder, self.network.neck]

    def infer(self, samples: Sequence[MoGeSample], with_normals: bool) -> "RawGeometry":
        """What the network gives for frames of one size."""
        images = self.tensor([s.image for s in samples]).float() / 255
        with self.inference.inference(self.device):
            geometry: RawGeometry = self.network(
                images, self.network.tokens(self.level), with_normals
            )
        return geometry


def frame(scene: Scene, item: str) -> UInt8Array:
    """A frame (3, H, W)."""
    return np.ascontiguousarray(scene[Images].rgb(item).transpose(2, 0, 1))
