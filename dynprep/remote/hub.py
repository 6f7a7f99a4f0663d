"""Datasets on the Hugging Face hub: ``hf://datasets/OWNER/NAME``, with a folder in it where one is named."""

import re
from collections.abc import Collection
from pathlib import Path

from dynprep.errors import UserError
from dynprep.export.manifest import MANIFEST
from dynprep.remote.address import RemotePath, plain_remote_errors
from dynprep.remote.pushed import Pushed

_PLACE = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?:/(.+?))?/?")
_MOST_IN_A_FOLDER = 10_000  # files, which the hub takes


def repository(place: RemotePath) -> tuple[str, str]:
    """The repository that an address names, and the folder in it. Raises UserError for another form."""
    match = _PLACE.fullmatch(place.address)
    if match is None:
        raise UserError(
            f"{place}: hf://datasets/OWNER/NAME is meant, with a folder after it or not"
        )
    return match[1], match[2] or ""


def check_account(place: RemotePath) -> None:
    """Raise UserError where nobody is logged in."""
    import huggingface_hub

    repository(place)
    try:
        huggingface_hub.HfApi().whoami()
    except Exception as error:  # no token, one that is refused, no network
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{place}: no account on the hub ({reason}); log in with `hf auth login`"
        ) from None


def push_to_hub(
    folder: Path, files: Collection[str], gone: Collection[str], place: RemotePath
) -> Pushed:
    """Send a scene in one commit; the repository is made, private, where there is none.

    files: names of those in the folder that are sent; gone: of those that an earlier commit sent and that go.
    Raises UserError where the hub does not take them.
    """
    import huggingface_hub

    inside: dict[str, int] = {}
    for name in files:
        above = name.rpartition("/")[0]
        inside[above] = inside.get(above, 0) + 1
    for name, count in inside.items():
        if count > _MOST_IN_A_FOLDER:
            raise UserError(
                f"{folder / name}: holds {count} files, the hub takes {_MOST_IN_A_FOLDER} in a folder; write the "
                "dataset with layout.pack=npz"
            )
    name, above = repository(place)
    api = huggingface_hub.HfApi()
    with plain_remote_errors(place):
        api.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            repo_type="dataset",
            folder_path=str(folder),
            path_in_repo=above,
            allow_patterns=[*files, MANIFEST],
            delete_patterns=[*gone] or None,
            commit_message=f"Add {place.name}",
        )
    return Pushed(len(files), sum((folder / name).stat().st_size for name in files), 0)


def write_to_hub(place: RemotePath, content: bytes) -> None:
    """Write one file in a commit."""
    import huggingface_hub

    name, inside = repository(place)
    with plain_remote_errors(place):
        huggingface_hub.HfApi().upload_file(
            path_or_fileobj=content,
            path_in_repo=inside,
            repo_id=name,
            repo_type="dataset",
            commit_message=f"Write {place.name}",
        )
