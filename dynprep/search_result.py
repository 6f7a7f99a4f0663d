"""What a search found: the settings with the best objective."""

from pathlib import Path
from typing import Any

import yaml

_FILE = "optimization_results.yaml"  # which the sweeper Optuna writes into the multirun's folder


def winner(folder: Path, began: int) -> str | None:
    """One line that names a search's best settings and their objective; None for a multirun that is no search, or one
    for several objectives, which has no best.

    began: when the multirun began, in nanoseconds; what is older is another one's.
    """
    path = folder / _FILE
    if not path.is_file() or path.stat().st_mtime_ns < began:
        return None
    result: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "best_params" not in result:
        return None
    settings = " ".join(f"{name}={_short(value)}" for name, value in result["best_params"].items())
    return f"best     {settings}  objective {_short(result['best_value'])}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
