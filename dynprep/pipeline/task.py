"""The unit of a predict loop."""

from dataclasses import dataclass

from dynprep.stages.inputs import Inputs
from dynprep.store import Result


@dataclass(frozen=True)
class Task:
    """One item of one scene, and the result that it belongs to."""

    inputs: Inputs
    result: Result
    item: str
