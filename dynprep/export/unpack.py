"""A dataset's scene whose tracks are packed, written anew with a file for every pair."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from dynprep.artefacts.tracks import PairTracks, pair_name
from dynprep.cores import cores
from dynprep.dataset import DatasetScene
from dynprep.errors import UserError
from dynprep.export import swap
from dynprep.export.content import ComposedFile
from dynprep.export.manifest import MANIFEST, Manifest, WrittenFile
from dynprep.export.written import is_empty_folder
from dynprep.files import sha256, write_bytes
from dynprep.foreign import read_json
from dynprep.links import READ_ONLY, place
from dynprep.store.references import PROVENANCE


def unpack_scene(scene: DatasetScene, target: Path) -> int:
    """Write a scene to the new folder ``target``, its tracks a file a pair; returns how many pairs there are.

    All other files are copied. Raises UserError where nothing is packed, where the folder holds something, and for a
    packed file that cannot be read; the folder is then as it was.
    """
    if scene.packed is None:
        raise UserError(f"{scene.folder}: its tracks are not packed; use the folder as it is")
    if target.exists() and not is_empty_folder(target):
        raise UserError(f"{target}: holds files; name a new folder")
    new = swap.begin(target)
    try:
        manifest = Manifest(new)
        _copy_others(scene, manifest)
        count = _write_pairs(scene, manifest)
        provenance = ComposedFile.of(_provenance(scene), None)
        manifest.files[PROVENANCE] = provenance.write(new / PROVENANCE)
        manifest.save()
    except BaseException:
        swap.recover(target)
        raise
    if target.exists():
        target.rmdir()
    swap.replace(target)
    return count


def _copy_others(scene: DatasetScene, manifest: Manifest) -> None:
    """Copy what is not packed."""
    before, packed = Manifest.of(scene.folder), scene.path_of(PairTracks)
    for path in sorted(scene.folder.rglob("*")):
        relative = path.relative_to(scene.folder).as_posix()
        if not path.is_file() or packed in path.parents or relative in (PROVENANCE, MANIFEST):
            continue
        place(path, manifest.folder / relative, "copy")
        known = before.files.get(relative)
        stage = known.stage if known is not None else None
        manifest.files[relative] = WrittenFile(path.stat().st_size, sha256(path), stage)


def _write_pairs(scene: DatasetScene, manifest: Manifest) -> int:
    """Write a file for every pair, query frames side by side."""
    tracks = scene.read(PairTracks)
    inner = scene.path_of(PairTracks).relative_to(scene.folder).as_posix()

    def write(query: int) -> list[tuple[str, WrittenFile]]:
        return list(_pairs_of(tracks, query, manifest.folder, inner))

    with ThreadPoolExecutor(cores()) as pool:
        for written in pool.map(write, tracks.queries):
            manifest.files.update(written)
    return sum(file.stage == PairTracks.name for file in manifest.files.values())


def _pairs_of(
    tracks: PairTracks, query: int, folder: Path, inner: str
) -> Iterator[tuple[str, WrittenFile]]:
    for target in tracks.targets(query):
        relative = f"{inner}/{pair_name(tracks.frames, query, target)}.npy"
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, tracks.written(query, target), allow_pickle=False)
        path = folder / relative
        write_bytes(path, buffer.getvalue())
        path.chmod(READ_ONLY)
        yield relative, WrittenFile(path.stat().st_size, sha256(path), PairTracks.name)


def _provenance(scene: DatasetScene) -> dict[str, Any]:
    """The scene's provenance, which says that the tracks were packed once."""
    provenance: dict[str, Any] = read_json(scene.folder / PROVENANCE, dict[str, Any])
    inner = scene.path_of(PairTracks).relative_to(scene.folder).as_posix()
    folder = provenance["folders"][inner]
    folder["unpacked_from"] = folder.pop("pack")
    return provenance
