"""The file that records a run, what it says of how the run went, and where such files are."""

import os
from pathlib import Path

RUN_FILE = "run.json"
JOB_LOG = "terminal.log"  # what a job says that runs beside others, in its folder
MARK = ".dynprep-sweep"  # a file in a multirun's folder, as old as the multirun
RUNNING, DONE, FAILED, STOPPED = "running", "done", "failed", "stopped"


def find_runs(folder: Path) -> list[Path]:
    """Folders of runs in ``folder``, at any depth, in natural order; folders inside a run's are not searched."""
    runs = []
    for where, inside, files in os.walk(folder):
        if RUN_FILE in files:
            runs.append(Path(where))
            inside.clear()
    return sorted(runs, key=lambda p: [(len(part), part) for part in p.parts])
