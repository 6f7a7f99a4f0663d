"""One line of the last table: what was measured, what was wanted, and whether it was reached."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """name: what was measured; value: the figure in words; good: None where nothing is asked of it."""

    name: str
    value: str
    good: bool | None = None

    def line(self) -> str:
        """The row as it is printed."""
        mark = {True: "ok", False: "MISSED", None: ""}[self.good]
        return f"{self.name:44} {self.value:40} {mark}".rstrip()
