"""Where the wall time of a run goes, and how much of it is no stage.

    python -m benchmarks.pipeline
    python -m benchmarks.pipeline data=frames data.path=FRAMES masks=folder masks.path=MASKS metric_depth=parallax

Runs ``dynprep OVERRIDES`` twice in new processes and an empty folder, as a user starts it: from nothing, and again
with everything in the store. The times are from the runs' records; what lies before the first step is the start of
Python and Hydra, and what lies between the stages of ``execute`` is imports, planning and the early verdict.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_DEMO = "data=demo"


def run(overrides: Sequence[str], folder: Path) -> tuple[float, dict[str, Any]]:
    """Wall seconds of one run from start to exit, and its record."""
    before = set(folder.glob("outputs/runs/*/*/run.json"))
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(_ROOT / "run.py"), *overrides], cwd=folder, capture_output=True, text=True, check=False
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr)
    (record,) = set(folder.glob("outputs/runs/*/*/run.json")) - before
    values: dict[str, Any] = json.loads(record.read_text())
    return seconds, values


def table(seconds: float, record: dict[str, Any]) -> None:
    """Print the steps, the stages, and the share that is no stage."""
    steps, stages = record["steps"], record["stages"]
    in_stages = sum(stage["seconds"] for stage in stages)
    start = seconds - sum(steps.values())
    print(f"{'start of Python and Hydra, end':34} {start:7.2f} s")
    for name, taken in steps.items():
        print(f"{name:34} {taken:7.2f} s")
        if name != "execute":
            continue
        for stage in stages:
            if stage["made"]:
                times = stage["times"] or {"reading": 0, "computing": 0, "writing": 0}
                parts = ", ".join(f"{part} {value:.2f}" for part, value in times.items())
                print(f"    {stage['name']:30} {stage['seconds']:7.2f} s  ({parts})")
        between = taken - in_stages
        print(f"    {'imports, checks between stages':30} {between:7.2f} s")
    beside = seconds - in_stages
    print(f"{'all':34} {seconds:7.2f} s; no stage: {beside:.2f} s, {beside / seconds:.0%}")


def _with_whole_path(override: str) -> str:
    """An override whose path holds in another folder, too."""
    name, _, value = override.partition("=")
    is_path = name.endswith((".path", ".checkpoint", ".prompts", ".truth"))
    return f"{name}={os.path.abspath(value)}" if is_path and value else override


def main() -> None:
    """Print both runs."""
    overrides = [_with_whole_path(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as place:
        for title in ("from nothing", "again"):
            print(f"{title}: dynprep {' '.join(sys.argv[1:]) or _DEMO}")
            table(*run(overrides, Path(place)))
            print(flush=True)


if __name__ == "__main__":
    main()
