"""One class for each thing that is stored. Importing this package knows them all."""

from importlib import import_module
from pkgutil import iter_modules

from dynprep.artefacts.base import Artefact, Scene, SceneResults

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["Artefact", "Scene", "SceneResults"]
