"""One line of a check: what was looked at, whether it is well, and what to do."""

from dataclasses import dataclass, field
from enum import StrEnum


class Mark(StrEnum):
    """How something was found: well, worth knowing, not looked at yet, or wrong."""

    OK = "ok"
    NOTE = "note"
    OPEN = "open"
    WRONG = "wrong"


@dataclass(frozen=True)
class Line:
    """What was found.

    about: what was looked at, such as ``memory`` or the name of a stage; text: what was found and what to do;
    figures: the numbers in it, for programs.
    """

    about: str
    mark: Mark
    text: str
    figures: dict[str, float | str | None] = field(default_factory=dict)
