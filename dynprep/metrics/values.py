"""What a metric says, as plain numbers."""

from torchmetrics import Metric


def values(metric: Metric) -> dict[str, float]:
    """Return the metric's values by name; empty where nothing was counted."""
    if not metric.update_called:
        return {}
    return {name: float(value) for name, value in metric.compute().items()}
