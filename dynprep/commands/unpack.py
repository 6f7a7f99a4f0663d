"""``dynprep unpack SCENE TARGET``: write a scene whose tracks are packed with a file for every pair."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dynprep.dataset import DatasetScene
from dynprep.errors import UserError, printable
from dynprep.export.unpack import unpack_scene


def main(arguments: Sequence[str]) -> int:
    """Unpack the scene that the arguments name, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="dynprep unpack",
        description="Write a scene of a dataset whose tracks are packed (layout.pack=npz or zarr) to a new folder, "
        "with the file for every pair of frames that trainers read. Coordinates are at most 1/64 px off.",
    )
    parser.add_argument("scene", type=Path, help="the scene's folder, such as OUT/dog")
    parser.add_argument("target", type=Path, help="a new folder")
    named = parser.parse_args(list(arguments))
    if not named.scene.is_dir():
        raise UserError(f"unpack: there is no folder {named.scene}")
    count = unpack_scene(DatasetScene(named.scene), named.target)
    print(f"{printable(str(named.target))}: tracks of {count} pairs of frames")
    return 0
