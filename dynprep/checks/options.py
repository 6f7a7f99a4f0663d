"""The group ``check``."""

from dataclasses import dataclass
from typing import Annotated

from dynprep.options import Positive, Range, Share


@dataclass(frozen=True)
class CheckBounds:
    """What is asked of a network's output, explained in ``conf/check/default.yaml``."""

    frames: Annotated[int, Range(least=2, most=64)]
    nearness: Annotated[float, Range(least=-1, most=1)]
    tracked: Annotated[float, Range(least=0, most=100)]
    covered: Share
    turned: Annotated[float, Range(least=-1, most=1)]
    half_error: Positive
    batch_error: Positive
    recorded_error: Positive
