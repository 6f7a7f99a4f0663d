"""The unit of a predict loop."""

from dataclasses import dataclass

from dynprep.artefacts.base import Scene
from dynprep.store import Result


@dataclass(frozen=True)
class Task:
    """One item of one scene, and the result that it belongs to."""

    scene: Scene
    result: Result
    item: str
