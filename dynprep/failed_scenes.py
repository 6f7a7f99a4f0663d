"""Scenes that a run leaves out because they failed, and the file that names them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dynprep.errors import SceneError, UserError, printable
from dynprep.files import write_bytes
from dynprep.pipeline.scene_failures import SceneFailures
from dynprep.remote.address import is_remote

FAILED_SCENES = "failed.txt"  # in a run's folder: what data.path= takes to try them again


class FailedScenes:
    """Why scenes failed, by name, and where their frames come from. folder: of the run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reasons: dict[str, str] = {}
        self.places: dict[str, str] = {}

    def add(self, scene: str, place: str, reason: str) -> None:
        """Leave a scene out. place: path of its frames."""
        where = place if is_remote(place) else str(Path(place).absolute())
        self.reasons[scene], self.places[scene] = reason, where
        lines = [f"# {printable(self.reasons[n])}\n{self.places[n]}\n" for n in self.reasons]
        content = "".join(lines).encode(errors="surrogateescape")
        write_bytes(self.folder / FAILED_SCENES, content)

    @contextmanager
    def of(self, scene: str, place: str, skip: bool) -> Iterator[None]:
        """Notes the scene where something in the block fails; without ``skip`` the error goes on."""
        try:
            yield
        except UserError as error:
            if not skip:
                raise
            self.add(scene, place, str(error))

    def new_notes(self, stage: str) -> SceneFailures:
        """Where the processes of a stage note scenes that fail."""
        return SceneFailures(self.folder / f".failed-{stage}.jsonl")

    def error(self, left: int) -> SceneError:
        """What to say at the end. left: scenes that did not fail."""
        name, reason = next(iter(self.reasons.items()))
        count = len(self.reasons)
        others = "the others are done" if left else "none is left"
        return SceneError(
            name,
            f"{count} of {count + left} scenes failed, the first: {name}: {reason}; {others}; "
            f"data.path={self.folder / FAILED_SCENES} tries those again",
        )
