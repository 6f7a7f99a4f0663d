"""Links by the names of scenes to the logs of the jobs of a multirun that have them."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dynprep.run_file import JOB_LOG

LOGS = "logs"  # folder of a multirun


def link_logs(sweep: Path, job: Path, scenes: Iterable[str]) -> None:
    """Link ``sweep``/logs/SCENE.log to the log of the job that has the scene.

    job: its folder. Of several jobs with one scene the later ones have the job's folder in the name. A file system
    without links has none.
    """
    folder = sweep / LOGS
    target = Path(os.path.relpath(job / JOB_LOG, folder))
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for scene in scenes:
            for name in (f"{scene}.log", f"{scene}-{job.name}.log"):
                link = folder / name
                if link.is_symlink() and link.readlink() == target:
                    break
                with suppress(FileExistsError):
                    link.symlink_to(target)
                    break
