"""The depth prior from Marigold."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynprep.arrays import Float32Array
from dynprep.backends.marigold import Marigold, MarigoldSample
from dynprep.stages.base import Deferred
from dynprep.stages.prior import Prior


@dataclass
class MarigoldPrior(Marigold, Prior[MarigoldSample]):
    """Affine-invariant depth as the network gives it."""

    backend_id = "marigold"
    group = "prior"

    def compute(self, samples: Sequence[MarigoldSample]) -> list[Deferred[Float32Array]]:
        return [Deferred(depth) for depth in self.depths(samples)]
