"""What a search found: the settings with the best objective."""

from pathlib import Path
from typing import Any

import yaml

_FILE = "optimization_results.yaml"  # which the sweeper Optuna writes into the multirun's folder


def winner(folder: Path) -> str | None:
    """One line that names a search's best settings and their objective; None for a multirun that is no search."""
    path = folder / _FILE
    if not path.is_file():
        return None
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = " ".join(f"{name}={_short(value)}" for name, value in found["best_params"].items())
    return f"best     {settings}  objective {_short(found['best_value'])}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
