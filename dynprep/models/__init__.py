"""Networks that are implemented here, since the packages of their authors cannot be dependencies."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprep.models.alltracker.network import AllTracker
    from dynprep.models.unidepth.network import UniDepthV2

__all__ = ["AllTracker", "UniDepthV2"]


def __getattr__(name: str) -> Any:
    # PyTorch is imported only when a network is asked for
    if name == "AllTracker":
        from dynprep.models.alltracker.network import AllTracker

        return AllTracker
    if name == "UniDepthV2":
        from dynprep.models.unidepth.network import UniDepthV2

        return UniDepthV2
    raise AttributeError(f"module {__name__} has no {name}")
