"""Scenes that failed while others go on: noted by whichever process finds it out."""

import json
import os
from pathlib import Path


class SceneFailures:
    """Notes of scenes that failed, in a file that all processes of a stage write to.

    file: is made when there is something to note.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, scene: str, reason: str) -> None:
        """Note one; of several reasons for a scene the first counts."""
        line = json.dumps({"scene": scene, "reason": reason}) + "\n"
        handle = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:  # in one go, so that lines of several processes do not mix
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def read(self) -> dict[str, str]:
        """The reason by scene."""
        if not self.file.exists():
            return {}
        notes = [json.loads(line) for line in self.file.read_text().splitlines()]
        return {note["scene"]: note["reason"] for note in reversed(notes)}
