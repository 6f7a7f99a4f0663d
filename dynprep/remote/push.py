"""A scene's dataset folder sent to another place: its files first, and last what says that all of them are there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynprep.errors import UserError
from dynprep.export.manifest import MANIFEST, Manifest
from dynprep.files import sha256
from dynprep.foreign import Malformed, check, is_inside
from dynprep.remote.address import RemotePath, plain_remote_errors
from dynprep.remote.hub import check_account, push_to_hub, write_to_hub
from dynprep.remote.pushed import Pushed
from dynprep.store.references import PROVENANCE

_UNFINISHED = ".dynprep-unfinished"  # a file: a push has begun there, and may go on
_AT_ONCE = 256  # files that a file system is given together


def check_writable(place: RemotePath) -> None:
    """Raise UserError, before any work, where nothing can be written at an address."""
    if place.is_hub:
        check_account(place)
        return
    system, path = place.file_system()
    probe = f"{path.rstrip('/')}/.dynprep-probe"
    with plain_remote_errors(place):
        system.pipe_file(probe, b"")
        system.rm_file(probe)


def push_scene(folder: Path, place: RemotePath) -> Pushed:
    """Send a scene's folder to ``place``, which is the scene's own.

    What dynprep wrote is sent, not what lies there besides. Files that are there already with the same content stay,
    and those of an earlier state of the scene that it has no more are removed. A scene without ``dynprep.json`` was
    not sent whole; the next time goes on. Raises UserError where that fails.
    """
    files = _files(folder)
    before = _read_before(place)
    if place.is_hub:
        return push_to_hub(folder, files, before.keys() - files.keys(), place)
    system, path = place.file_system()
    with plain_remote_errors(place):
        if not before:
            _refuse_foreign(system, path, files, place)
        system.pipe_file(f"{path}/{_UNFINISHED}", b"")
        if system.exists(f"{path}/{PROVENANCE}"):
            system.rm_file(f"{path}/{PROVENANCE}")  # from now on the scene is not whole
        new = [name for name, digest in files.items() if before.get(name) != digest]
        for part in _parts([name for name in new if name != PROVENANCE]):
            system.put([str(folder / name) for name in part], [f"{path}/{name}" for name in part])
        for name in before.keys() - files.keys():
            if system.exists(f"{path}/{name}"):
                system.rm_file(f"{path}/{name}")
        _check_sizes(system, path, folder, files, place)
        known = {"files": {k: _entry(folder / k, digest) for k, digest in files.items()}}
        system.pipe_file(f"{path}/{MANIFEST}", json.dumps(known, indent=1).encode())
        if PROVENANCE in files:
            system.put_file(str(folder / PROVENANCE), f"{path}/{PROVENANCE}")
        system.rm_file(f"{path}/{_UNFINISHED}")
    size = sum((folder / name).stat().st_size for name in new)
    return Pushed(len(new), size, len(files) - len(new))


def _refuse_foreign(system: Any, path: str, files: dict[str, str], place: RemotePath) -> None:
    """Raise UserError for files that lie where the scene's would and that no push began to send."""
    system.invalidate_cache()
    start = len(path.rstrip("/")) + 1
    there = {name[start:] for name in system.find(path)} if system.exists(path) else set()
    if _UNFINISHED in there:
        return
    if foreign := sorted(there & files.keys()):
        raise UserError(
            f"{place}: holds {len(foreign)} files that dynprep did not send, e.g. {foreign[0]}; choose another address"
        )


def _files(folder: Path) -> dict[str, str]:
    """The files to send, with their SHA-256: those that dynprep wrote, of another's folder all."""
    manifest = Manifest.of(folder)
    if manifest.files:
        changed = manifest.changed()
        missing = [name for name in manifest.files if not (folder / name).is_file()]
        for names, what in ((changed, "were changed"), (missing, "are gone")):
            if names:
                raise UserError(
                    f"{folder}: {len(names)} files {what} since dynprep wrote them, e.g. {names[0]}; run the "
                    "command that made it again, then push"
                )
        return {name: written.sha256 for name, written in sorted(manifest.files.items())}
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return {p.relative_to(folder).as_posix(): sha256(p) for p in paths if p.name != MANIFEST}


def _entry(path: Path, digest: str) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": digest, "stage": None}


def read_file(place: RemotePath) -> bytes | None:
    """The content of a file; None where there is none. Raises UserError where that cannot be found out."""
    system, path = place.file_system()
    with plain_remote_errors(place):
        system.invalidate_cache()
        try:
            content: bytes = system.cat_file(path)
        except FileNotFoundError:
            return None
    return content


def write_file(place: RemotePath, content: bytes) -> None:
    """Write a file in place of what was there. Raises UserError where that fails."""
    if place.is_hub:
        write_to_hub(place, content)
        return
    system, path = place.file_system()
    with plain_remote_errors(place):
        system.pipe_file(path, content)


def _read_before(place: RemotePath) -> dict[str, str]:
    """The files of a scene that are there, with their SHA-256, as the last one that was sent whole says."""
    content = read_file(place / MANIFEST)
    if content is None:
        return {}
    try:
        values: dict[str, dict[str, dict[str, Any]]] = json.loads(content)
        check(values, dict[str, dict[str, dict[str, Any]]], MANIFEST)
    except (ValueError, Malformed):
        return {}
    entries = values.get("files", {}).items()
    return {name: str(e.get("sha256")) for name, e in entries if is_inside(name)}


def _check_sizes(
    system: Any, path: str, folder: Path, files: dict[str, str], place: RemotePath
) -> None:
    """Raise UserError where a file is not there, or has another size."""
    system.invalidate_cache()
    there = system.find(path, detail=True)
    start = len(path.rstrip("/")) + 1
    sizes = {name[start:]: int(entry["size"]) for name, entry in there.items()}
    for name in files:
        if name != PROVENANCE and sizes.get(name) != (folder / name).stat().st_size:
            raise UserError(f"{place / name}: did not arrive whole; run the same command again")


def _parts(names: list[str]) -> Iterator[list[str]]:
    for k in range(0, len(names), _AT_ONCE):
        yield names[k : k + _AT_ONCE]
