"""``dynprep validate DATASET``: hold a dataset folder against docs/format.md."""

from collections.abc import Sequence
from pathlib import Path

from dynprep.commands import fail
from dynprep.dataset import DatasetScene
from dynprep.errors import UserError
from dynprep.export.validate import describe_folders, faults


def main(arguments: Sequence[str]) -> int:
    """Check the scenes' folders that the arguments name, and return the exit status: 1 where one has a fault."""
    if not arguments or any(argument.startswith("-") for argument in arguments):
        raise UserError("validate: name folders of scenes, such as OUT/dog")
    status = 0
    for argument in arguments:
        scene = DatasetScene(Path(argument))
        for line in describe_folders(scene):
            print(f"{scene.folder}/{line}")
        lines = list(faults(scene))
        for fault in lines:
            status = fail(f"{scene.folder}: {fault}")
        if not lines:
            print(f"{scene.folder}: {len(scene)} frames, no fault")
    return status
