"""``dynprep push DATASET ADDRESS``: check scenes and send them elsewhere, with a card."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dynprep.artefacts.images import Images
from dynprep.dataset import DatasetScene
from dynprep.errors import UserError, printable
from dynprep.export.validate import faults
from dynprep.remote.address import RemotePath, is_remote
from dynprep.remote.card import MARK, NAME, card
from dynprep.remote.push import check_writable, push_scene, read_file, write_file
from dynprep.store.references import PROVENANCE


def main(arguments: Sequence[str]) -> int:
    """Push the scenes that the arguments name, and return the exit status: 1 where one was not sent."""
    parser = argparse.ArgumentParser(
        prog="dynprep push",
        description="Hold scenes against docs/format.md and send those without a fault to s3://, gs://, "
        "hf://datasets/OWNER/NAME or another address that fsspec knows, with a README.md that names the backends and "
        "the licences of their weights. What is there already is not sent again.",
    )
    parser.add_argument("dataset", type=Path, help="a folder of scenes, such as OUT, or one scene")
    parser.add_argument("address", help="receives a folder for each scene")
    named = parser.parse_args(list(arguments))
    if not is_remote(named.address):
        raise UserError(
            f"push: {named.address} is no address; s3://BUCKET/FOLDER or hf://datasets/OWNER/NAME is meant"
        )
    scenes = _scenes(named.dataset)
    place = RemotePath(named.address)
    check_writable(place)
    sent: list[DatasetScene] = []
    for scene in scenes:
        if (fault := next(faults(scene), None)) is not None:
            print(f"! {printable(str(scene.folder))}: not sent: {printable(fault)}")
            continue
        pushed = push_scene(scene.folder, place / scene.name)
        print(f"{printable(str(place / scene.name))}: {pushed}", flush=True)
        sent.append(scene)
    if sent:
        _write_card(place, sent)
    left = len(scenes) - len(sent)
    if left:
        raise UserError(f"push: {left} of {len(scenes)} scenes have faults and were not sent")
    return 0


def _scenes(dataset: Path) -> list[DatasetScene]:
    """The scenes in a folder, or the one that it is."""
    if not dataset.is_dir():
        raise UserError(f"push: there is no folder {dataset}")
    default = Images.places[0].default
    folders = [p.parent for p in sorted(dataset.glob(f"*/{PROVENANCE}"))]
    if (dataset / PROVENANCE).is_file() or (dataset / default).is_dir():
        folders = [dataset.absolute()]
    # folders of layouts lie beside the scenes, and hold none themselves
    scenes = [DatasetScene(folder) for folder in folders]
    if not scenes:
        raise UserError(f"{dataset}: holds no scene that dynprep wrote; name its dataset_dir")
    return scenes


def _write_card(place: RemotePath, scenes: Sequence[DatasetScene]) -> None:
    """Write README.md, unless somebody else's is there."""
    before = read_file(place / NAME)
    if before is not None and MARK.encode() not in before:
        print(f"! {place / NAME}: is not dynprep's and stays as it is")
        return
    write_file(place / NAME, card(scenes).encode())
    print(f"{place / NAME}")
