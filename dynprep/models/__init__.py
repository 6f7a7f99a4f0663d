"""Networks written here, because upstream's packages cannot be depended on."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprep.models.alltracker.network import AllTracker
    from dynprep.models.unidepth.network import UniDepthV2

__all__ = ["AllTracker", "UniDepthV2"]


def __getattr__(name: str) -> Any:
    # torch is imported only by who asks for a network
    if name == "AllTracker":
        from dynprep.models.alltracker.network import AllTracker

        return AllTracker
    if name == "UniDepthV2":
        from dynprep.models.unidepth.network import UniDepthV2

        return UniDepthV2
    raise AttributeError(f"module {__name__} has no {name}")
