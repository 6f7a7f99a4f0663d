"""What must be known of a folder that dynprep wrote before it is written anew, and of the results that it shows."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from dynprep.errors import UserError
from dynprep.export.manifest import Manifest
from dynprep.store import Result


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
