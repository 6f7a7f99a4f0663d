"""The depth prior from Marigold."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynprep.backends.marigold import Array, Marigold, Sample
from dynprep.stages.base import Later
from dynprep.stages.prior import Prior


@dataclass
class MarigoldPrior(Marigold, Prior[Sample]):
    """Affine-invariant depth as the network gives it."""

    node = "prior"

    def compute(self, samples: Sequence[Sample]) -> list[Later[Array]]:
        return [Later(depth) for depth in self.depths(samples)]
