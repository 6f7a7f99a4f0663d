"""What was sent of a scene."""

from dataclasses import dataclass

from dynprep.files import human_bytes


@dataclass(frozen=True)
class Pushed:
    """Files and bytes that were sent; kept: files that were there already."""

    files: int
    bytes: int
    kept: int

    def __str__(self) -> str:
        kept = f", {self.kept} were there" if self.kept else ""
        return f"{self.files} files, {human_bytes(self.bytes)}{kept}"
