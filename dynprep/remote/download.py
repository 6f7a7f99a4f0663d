"""Files that lie elsewhere, as results of the store: each is fetched once, and again when it has changed there."""

import posixpath
from collections.abc import Sequence
from functools import partial
from typing import Any

from dynprep.errors import UserError
from dynprep.foreign import is_inside, shown
from dynprep.remote.address import RemotePath, plain_remote_errors
from dynprep.store import ItemWriter, Recipe, Result, Store

STAGE = "downloads"  # what its results are called in the store
_VERSION = 1
# what file systems say of a file that changes when its content does
_MARKS = (
    "size",
    "ETag",
    "etag",
    "md5Hash",
    "crc32c",
    "sha256",
    "blob_id",
    "oid",
    "mtime",
    "updated",
)


def files_in(place: RemotePath, suffixes: Sequence[str]) -> list[RemotePath]:
    """The files of a folder with one of the suffixes, by name; the file itself for a file; matches of a pattern.

    Raises UserError where there is nothing, or it cannot be reached.
    """
    system, path = place.file_system()
    with plain_remote_errors(place):
        system.invalidate_cache()
        if any(mark in path for mark in "*?["):
            paths = sorted(system.glob(path))
        elif system.isdir(path):
            paths = sorted(
                entry["name"] for entry in system.ls(path, detail=True) if entry["type"] == "file"
            )
        elif system.isfile(path):
            return [place]
        else:
            raise UserError(f"{place}: no such file or folder; check the address")
    matching = [p for p in paths if posixpath.splitext(p)[1].lower() in suffixes]
    return [RemotePath(system.unstrip_protocol(p)) for p in matching]


def folders_in(place: RemotePath) -> list[RemotePath]:
    """The folders in a folder, by name."""
    system, path = place.file_system()
    with plain_remote_errors(place):
        entries = system.ls(path, detail=True)
    folders = sorted(e["name"].rstrip("/") for e in entries if e["type"] == "directory")
    return [RemotePath(system.unstrip_protocol(p)) for p in folders]


def downloaded(place: RemotePath, files: Sequence[RemotePath], store: Store) -> Result:
    """The result that holds the files of a clip, fetched unless the store has them as they are there.

    place: what the clip is called in messages. Raises UserError where they cannot be fetched.
    """
    marks: dict[str, Any] = {}
    for file in files:
        if not is_inside(file.name) or file.name.startswith("."):
            raise UserError(f"{place}: {shown(file.name)} is no name of a file; rename it there")
        system, path = file.file_system()
        with plain_remote_errors(file):
            known = system.info(path)
        marks[file.name] = {key: str(known[key]) for key in _MARKS if known.get(key) is not None}
    recipe = Recipe(STAGE, place.scheme, _VERSION, options={"address": str(place), "files": marks})
    return store.cached(recipe, partial(_fetch, files), is_view=False)


def _fetch(files: Sequence[RemotePath], writer: ItemWriter) -> None:
    for file in files:
        system, path = file.file_system()
        temporary = writer.temporary(file.name)
        try:
            with plain_remote_errors(file):
                system.get_file(path, str(temporary))
            writer.take(file.name, temporary)
        finally:
            temporary.unlink(missing_ok=True)
