"""Where each artefact's files lie in a dataset folder."""

import posixpath
from typing import Any

from dynprep.artefacts import Artefact
from dynprep.artefacts.files import Place
from dynprep.export.manifest import MANIFEST
from dynprep.foreign import is_inside, shown
from dynprep.packing.kinds import PackKind
from dynprep.store.references import PROVENANCE


def _places() -> dict[str, str]:
    """Default names of all places that can be named, by option."""
    return {
        place.option: place.default
        for artefact in Artefact.registry.values()
        for place in artefact.places
        if place.option is not None
    }


def _fixed_names() -> list[str]:
    """Names of files at the top of a scene's folder that no option changes."""
    fixed = [p.default for a in Artefact.registry.values() for p in a.places if p.option is None]
    return [*fixed, PROVENANCE, MANIFEST, "verdict.json"]


class DatasetNames:
    """Folder and file names of a dataset, from the group ``layout``.

    Its options are the places that the artefacts have, of which one that is left out has the default name, and
    ``pack``: how tracks are packed, None where every pair has its file.
    """

    def __init__(self, pack: PackKind | None = None, **names: str) -> None:
        """names: by option. Raises ValueError for names of which one lies in another or out of the dataset."""
        self.pack = pack
        self.names = {k: posixpath.normpath(v) for k, v in {**_places(), **names}.items()}
        for name in self.names.values():
            if name.startswith(("/", "..")) or name == ".":
                raise ValueError(f"{shown(name)} does not lie inside the dataset folder")
            if not is_inside(name) or not name.isprintable():
                raise ValueError(f"{shown(name)} is no name of a file or folder")
            if any(part.startswith(".") for part in name.split("/")):
                raise ValueError(f"'{name}' is hidden, and trainers would not find it")
        taken = [*self.names.values(), *_fixed_names()]
        for k, name in enumerate(taken):
            for other in taken[k + 1 :]:
                if f"{other}/".startswith(f"{name}/") or f"{name}/".startswith(f"{other}/"):
                    raise ValueError(f"'{name}' and '{other}' are one place; give them other names")

    @classmethod
    def option_types(cls) -> dict[str, Any]:
        """The options that the configuration may set, with their types."""
        return {"pack": PackKind | None, **dict.fromkeys(_places(), str)}

    def name_of(self, place: Place) -> str:
        """The place's path in a scene's folder."""
        return place.default if place.option is None else self.names[place.option]

    def folder(self, artefact: type[Artefact]) -> str | None:
        """The folder that an artefact fills, None for one that fills none."""
        folders = [self.name_of(place) for place in artefact.places if place.is_folder]
        return folders[0] if folders else None

    def all_folders(self, artefact: type[Artefact]) -> list[str]:
        """The folders that an artefact may fill."""
        return [self.name_of(place) for place in artefact.places if place.is_folder]

    def folders(self, artefact: Artefact) -> list[str]:
        """The folders in which something of an artefact lies."""
        filled = {*artefact.linked(), *artefact.composed()}
        return [
            self.name_of(place) for place in artefact.places if place.is_folder and place in filled
        ]

    def linked(self, artefact: Artefact) -> dict[str, str]:
        """Paths in the dataset, by file of the artefact, of what is linked there under its own name."""
        return {
            name: f"{self.name_of(place)}/{posixpath.basename(name)}"
            if place.is_folder
            else self.name_of(place)
            for place, names in artefact.linked().items()
            for name in names
        }

    def composed(self, artefact: Artefact) -> dict[str, Any]:
        """JSON values by path in the dataset."""
        return {self.name_of(place): value for place, value in artefact.composed().items()}

    def single_files(self, artefact: type[Artefact]) -> list[str]:
        """Files at the top of a scene's folder that an artefact gives."""
        return [self.name_of(place) for place in artefact.places if not place.is_folder]
