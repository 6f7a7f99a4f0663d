"""dynprep: any monocular video to the folder a dynamic 3D/4D reconstruction trainer reads.

``open`` reads a dataset, ``backend`` uses one backend on arrays, ``run`` does what the command line does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprep.api import backend, open, run

__version__ = "0.2.0"
__all__ = ["__version__", "backend", "open", "run"]


def __getattr__(name: str) -> Any:
    # imported only when asked for, so that the command line answers at once
    if name in ("backend", "open", "run"):
        from dynprep import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
