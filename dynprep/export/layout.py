"""Where each artefact's files lie in a dataset folder."""

from typing import Any

from dynprep.artefacts import Artefact
from dynprep.artefacts.files import Place


def _places() -> dict[str, str]:
    """Default names of all places that can be named, by option."""
    return {
        place.option: place.default
        for artefact in Artefact.registry.values()
        for place in artefact.places
        if place.option is not None
    }


class Layout:
    """Folder and file names of a dataset, as a trainer wants them: the group ``layout``.

    Its options are the places that the artefacts have; one that is left out has the default name.
    """

    def __init__(self, **names: str) -> None:
        """names: by option. Raises ValueError for names that are equal or lead out of the dataset."""
        self.names = {**_places(), **names}
        if len(set(self.names.values())) < len(self.names):
            raise ValueError("two folders have the same name")
        for name in self.names.values():
            if name.startswith("/") or ".." in name.split("/") or not name:
                raise ValueError(f"'{name}' does not lie inside the dataset folder")

    @classmethod
    def option_types(cls) -> dict[str, Any]:
        """The options that the configuration may set, with their types."""
        return dict.fromkeys(_places(), str)

    def name_of(self, place: Place) -> str:
        """The place's path in a scene's folder."""
        return place.default if place.option is None else self.names[place.option]

    def folder(self, artefact: type[Artefact]) -> str | None:
        """The folder that an artefact fills, None for one that fills none."""
        folders = [self.name_of(place) for place in artefact.places if place.is_folder]
        return folders[0] if folders else None

    def linked(self, artefact: Artefact) -> dict[str, str]:
        """Paths in the dataset, by file of the artefact, of what is linked there under its own name."""
        return {
            name: f"{self.name_of(place)}/{name}" if place.is_folder else self.name_of(place)
            for place, names in artefact.linked().items()
            for name in names
        }

    def composed(self, artefact: Artefact) -> dict[str, Any]:
        """JSON values by path in the dataset."""
        return {self.name_of(place): value for place, value in artefact.composed().items()}

    def single_files(self, artefact: type[Artefact]) -> list[str]:
        """Files at the top of a scene's folder that an artefact gives."""
        return [self.name_of(place) for place in artefact.places if not place.is_folder]
