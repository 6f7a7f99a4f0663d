"""What the seconds of a stage went to."""

from dataclasses import dataclass


@dataclass
class Times:
    """Seconds of one stage: waiting for readers, computing, waiting for writers; the rest is loading the network
    and starting processes."""

    reading: float = 0.0
    computing: float = 0.0
    writing: float = 0.0
