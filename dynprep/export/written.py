"""Single files of a folder that dynprep writes, and what its provenance says of the results that it shows."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynprep.cores import in_threads
from dynprep.errors import UserError
from dynprep.export.manifest import Manifest, WrittenFile
from dynprep.links import LinkKind, place
from dynprep.store import Result
from dynprep.store.verified import remember

_AT_ONCE = 16  # files that a thread shows before it takes the next


def show_file(
    result: Result, folder: Path, file: str, path: str, link: LinkKind, stage: str | None = None
) -> WrittenFile:
    """Show a file of the store at ``path`` in ``folder``. stage: that it shows, the result's own if it is None."""
    target = folder / path
    stored = result.checked_file(file)
    size, digest = result.fact(file)
    place(stored, target, link)
    remember(stored, digest)
    leads_to = os.readlink(target) if link == "symlink" else None
    return WrittenFile(size, digest, stage or result.recipe.stage, leads_to)


def show_files(
    result: Result, folder: Path, paths: Mapping[str, str], link: LinkKind, stage: str | None = None
) -> list[WrittenFile]:
    """Show files of the store, by name, at their ``paths``: see ``show_file``."""
    names = list(paths.items())

    def show(part: slice) -> list[WrittenFile]:
        return [show_file(result, folder, name, path, link, stage) for name, path in names[part]]

    parts = [slice(k, k + _AT_ONCE) for k in range(0, len(names), _AT_ONCE)]
    return [written for part in in_threads(show, parts) for written in part]


def compose_file(manifest: Manifest, path: str, value: Any, stage: str | None) -> None:
    """Write a JSON file that no result holds."""
    content = (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
    target = manifest.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    manifest.files[path] = WrittenFile(len(content), hashlib.sha256(content).hexdigest(), stage)


def is_empty_folder(path: Path) -> bool:
    """Whether a folder, and no link to one, holds nothing."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def shared_damage(before: Manifest, changed: Collection[str]) -> set[str]:
    """Those ``changed`` files that are hard links into the store: the store is damaged too, and mends it."""
    shared = set()
    for name in changed:
        path = before.folder / name
        is_shown = before.files[name].stage is not None and not path.is_symlink()
        if is_shown and path.is_file() and path.stat().st_nlink > 1:
            shared.add(name)
    return shared


def refuse_changed(folder: Path, changed: Sequence[str]) -> None:
    """Raise UserError where files of the folder were changed since dynprep wrote them."""
    if changed:
        raise UserError(
            f"{folder}: {len(changed)} files were changed since dynprep wrote them, e.g. {changed[0]}; "
            "move the folder away if you need them, else remove it, or choose another dataset_dir"
        )


def origin(result: Result) -> dict[str, Any]:
    """What made a result: backend, options, weights, keys, versions."""
    seal = result.seal()
    facts = seal.facts if seal is not None else {}
    return {
        "stage": result.recipe.stage,
        "key": result.key,
        "backend": result.recipe.backend,
        "version": [result.recipe.kind_version, result.recipe.backend_version],
        "options": result.recipe.options,
        "weights": result.recipe.weights,
        "licence": facts.get("licence"),
        "inputs": result.recipe.inputs,
        "versions": facts.get("versions", {}),
        "device": facts.get("device", ""),
        "notes": sorted({n for item in result.items().values() for n in item.notes}),
    }
