"""dynprep: turns any monocular video into the folder that a dynamic 3D/4D reconstruction trainer reads.

``open`` reads a dataset, ``FrameDataset`` and ``TrackDataset`` hand it to PyTorch, ``backend`` uses one backend on
arrays, ``run`` does what the command line does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dynprep.version import __version__

if TYPE_CHECKING:
    from dynprep.api import backend, open, run
    from dynprep.torch_datasets import FrameDataset, TrackDataset

__all__ = ["FrameDataset", "TrackDataset", "__version__", "backend", "open", "run"]

# imported only when asked for, so that the command line answers at once
_MODULES = {
    "FrameDataset": "dynprep.torch_datasets",
    "TrackDataset": "dynprep.torch_datasets",
    "backend": "dynprep.api",
    "open": "dynprep.api",
    "run": "dynprep.api",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
