"""Ranges of options, said once where an option is declared: they give the check, the error and the docs."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """The numbers that an option may have; ``None`` leaves an end open.

    least, most: ends that are allowed themselves; above, below: ends that are not.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Whether ``value`` is in the range."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def describe(self) -> str:
        """The range in words, such as ``0 to 1`` or ``above 0``."""
        low = f"{self.least:g}" if self.least is not None else None
        high = f"{self.most:g}" if self.most is not None else None
        if low is not None and high is not None:
            return f"{low} to {high}"
        parts = []
        if low is not None:
            parts.append(f"{low} or more")
        if self.above is not None:
            parts.append(f"above {self.above:g}")
        if high is not None:
            parts.append(f"{high} or less")
        if self.below is not None:
            parts.append(f"below {self.below:g}")
        return " and ".join(parts)


AtLeastOne = Annotated[int, Range(least=1)]
NotNegative = Annotated[int, Range(least=0)]
Positive = Annotated[float, Range(above=0)]
NotNegativeFloat = Annotated[float, Range(least=0)]
Share = Annotated[float, Range(least=0, most=1)]
OpenShare = Annotated[float, Range(above=0, below=1)]
Seed = Annotated[int, Range(least=0, below=2**32)]
