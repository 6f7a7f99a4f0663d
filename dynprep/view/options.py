"""The ``logger`` group."""

from dataclasses import dataclass
from typing import Literal


@dataclass
class LoggerOptions:
    """Where pictures and numbers go."""

    kind: Literal["wandb", "csv", "none"]
    mode: Literal["online", "offline", "disabled"]
    project: str
    group: str | None
    samples: int
    points: int
    report: bool

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples is {self.samples}; it must be 1 or more")
        if self.points < 100:
            raise ValueError(f"points is {self.points}; it must be 100 or more")
