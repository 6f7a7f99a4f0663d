"""What a sweep takes beyond the stages that it has to compute.

    python -m benchmarks.sweep alignment=median,huber,lstsq,sequence

Runs ``run.py -m`` with these overrides in an empty folder, then again, and reads the jobs' records.
Stages: the seconds of every different result, added up, with what is drawn and scored of them
beside. Start: the first job's, until its first stage can begin (imports, Hydra).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_RUN = Path(__file__).resolve().parents[1] / "run.py"


def _sweep(folder: Path, overrides: list[str], name: str) -> float:
    """Seconds of the whole command."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, str(_RUN), "-m", *overrides, f"hydra.sweep.dir={name}"],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, "WANDB_MODE": "offline"},
    )
    return time.perf_counter() - started


def _stages(folder: Path) -> float:
    """Seconds of all different results of a sweep's jobs."""
    seconds: dict[str, float] = {}
    for path in folder.glob("*/run.json"):
        for scene in json.loads(path.read_text())["scenes"].values():
            for result in scene["results"].values():
                seconds[result["key"]] = result["seconds"]
    return sum(seconds.values())


def main() -> None:
    """Print seconds of the stages, of the sweep, and of the same sweep again."""
    overrides = sys.argv[1:] or ["alignment=median,huber,lstsq,sequence"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = _sweep(folder, overrides, "first")
        jobs = len(list((folder / "first").glob("*/run.json")))
        stages = _stages(folder / "first")
        again = _sweep(folder, overrides, "again")
    print(f"{' '.join(overrides)}: {jobs} jobs")
    print(f"stages, each different one once  {stages:7.1f} s")
    print(f"the sweep                        {first:7.1f} s")
    print(f"the same sweep again             {again:7.1f} s  (nothing computed)")
    rest = first - stages - again
    print(f"beyond the stages and a rerun    {rest:7.1f} s, {rest / stages:.1%} of the stages")


if __name__ == "__main__":
    main()
