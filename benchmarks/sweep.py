"""What a sweep takes beyond the stages that it has to compute.

    python -m benchmarks.sweep alignment=median,huber,lstsq,sequence

Runs ``run.py -m`` with these overrides in an empty folder, then again, and reads the jobs' records.
Every different result is counted once, as its own record says. Start: a process that imports what
a run that computes needs, and does nothing. The same sweep again computes nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dynprep.cores import cores
from dynprep.run_file import find_runs

_IMPORTS = "import hydra, wandb, dynprep.app, dynprep.pipeline.predict, dynprep.compare.page"
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


def _start() -> float:
    """Seconds that the imports take."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], cwd=_RUN.parent, check=True)
    return time.perf_counter() - started


def _made(store: Path) -> tuple[float, float]:
    """Seconds of all different results of the stages; and of scores, pictures and agreements."""
    seconds = {True: 0.0, False: 0.0}
    for path in store.glob("*/*/result.json"):
        seal = json.loads(path.read_text())
        seconds[bool(seal.get("view"))] += seal.get("seconds") or 0.0
    return seconds[False], seconds[True]


def main() -> None:
    """Print seconds of what was made, of the sweep, and of the same sweep again."""
    overrides = sys.argv[1:] or ["alignment=median,huber,lstsq,sequence"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = _sweep(folder, overrides, "first")
        jobs = len(find_runs(folder / "first"))
        stages, views = _made(folder / "outputs" / "store")
        again = _sweep(folder, overrides, "again")
    print(f"{' '.join(overrides)}: {jobs} jobs, {cores()} cores")
    print(f"stages, each different result once     {stages:7.1f} s")
    print(f"scores, pictures, agreements, likewise {views:7.1f} s")
    print(f"the sweep                              {first:7.1f} s")
    start = _start()
    print(f"start of a process                     {start:7.1f} s")
    rest = first - stages - views - start
    print(f"beyond these three                     {rest:7.1f} s, {rest / first:.1%} of the sweep")
    print(f"the same sweep again                   {again:7.1f} s, nothing computed")


if __name__ == "__main__":
    main()
