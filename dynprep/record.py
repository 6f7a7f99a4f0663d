"""A run's record, run.json: all that is needed to repeat it, compare it, and know what it was."""

import hashlib
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from dynprep.files import write_json
from dynprep.job import Job
from dynprep.pipeline.plan import Plan
from dynprep.record_shape import FORMAT
from dynprep.run_file import DONE, FAILED, RUN_FILE, RUNNING
from dynprep.store import Result

_ROOT = Path(__file__).resolve().parents[1]
_HYDRA = (".hydra", "job.log")  # what Hydra puts into a run's folder
_RUNS, _DATE = "runs", re.compile(r"\d{4}-\d\d-\d\d")  # where runs are put that name no folder


class Record:
    """Writes ``run.json`` of a run: when it starts, and when it ends, however it ends."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], choices: Mapping[str, str], job: Job
    ) -> None:
        self.path = folder / RUN_FILE
        self.started = time.time()
        self.values: dict[str, Any] = {
            "format": FORMAT,
            "status": RUNNING,
            "failure": None,
            "job": job.number,
            "sweep": str(job.sweep.absolute()) if job.sweep else None,
            "process": os.getpid(),
            "started": self.started,
            "seconds": None,
            "overrides": list(job.overrides),
            "choices": dict(choices),
            "config": _as_json(config),
            "folder": str(Path.cwd()),
            "environment": environment(),
        }
        write_json(self.path, self.values)

    def end(self, failure: str | None, status: str | None = None, **values: Any) -> None:
        """Note how it ended. status: done without a failure, else failed, unless it is given."""
        status = status or (FAILED if failure else DONE)
        seconds = time.time() - self.started
        self.values["environment"]["hardware"]["gpus"] = _gpus()
        self.values.update(status=status, failure=failure, seconds=seconds, **values)
        write_json(self.path, self.values)


def was_planned(folder: Path) -> bool:
    """Whether a run came as far as planning its stages; False where it left no record."""
    path = folder / RUN_FILE
    return path.is_file() and "scenes" in json.loads(path.read_text())


def forget_refused(folder: Path) -> None:
    """Remove the folder of a run that was refused before any stage: nothing in it is worth a look.

    A folder that holds anything but the record and Hydra's own files stays, and so does one that the user named. Of the
    folders above it those of ``outputs/runs/DATE`` go, if they are empty.
    """
    folder = folder.absolute()
    dated = folder.parent
    if dated.parent.name != _RUNS or not _DATE.fullmatch(dated.name) or folder.is_symlink():
        return
    with suppress(OSError):  # it was a courtesy: the refusal is what counts
        if {path.name for path in folder.iterdir()} <= {RUN_FILE, *_HYDRA}:
            shutil.rmtree(folder)
            for above in (dated, dated.parent, dated.parent.parent):
                if above.is_symlink() or above == Path.cwd():
                    break
                above.rmdir()  # which refuses what is not empty


def fail_early(folder: Path, job: Job, failure: str) -> None:
    """Record a job whose configuration could not even be put together."""
    record = Record(folder, {}, {}, job)
    record.end(failure, scenes={})


def _as_json(node: Any) -> Any:
    """A configuration node for JSON, which knows neither NaN nor infinity."""
    if isinstance(node, Mapping):
        return {k: _as_json(v) for k, v in node.items()}
    if isinstance(node, list | tuple):
        return [_as_json(v) for v in node]
    return str(node) if isinstance(node, float) and not math.isfinite(node) else node


def environment() -> dict[str, Any]:
    """Packages with versions, hardware, and the commit of this code."""
    return {
        "python": platform.python_version(),
        "packages": _packages(),
        "hardware": _hardware(),
        "code": _code(),
    }


@lru_cache
def _packages() -> dict[str, str]:
    # a distribution parses its metadata whenever it is asked for its name
    described = [distribution.metadata for distribution in distributions()]
    return dict(sorted((m["Name"], m["Version"]) for m in described if m["Name"]))


def _hardware() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "system": platform.platform(),
        "machine": platform.node(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "gpus": [],  # known when the work is done: to ask would start CUDA too early
    }


def _gpus() -> list[str]:
    """GPUs that this process has used, or may have."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]


def _code() -> dict[str, Any]:
    """Commit of the checkout, and whether files of it were changed; None for an installed package."""
    if not (_ROOT / ".git").exists():
        return {"commit": None, "changed": None}
    git = ["git", "-C", str(_ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, check=True)
        state = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}
    return {"commit": commit.stdout.decode().strip(), "changed": bool(state.stdout.strip())}


def describe_scenes(
    plan: Plan, choices: Mapping[str, str], groups: Mapping[str, str]
) -> dict[str, Any]:
    """Scenes with their sources, and each complete result: what made it, what it cost, what came of it.

    choices: by stage, the choice that names its backend; groups: by stage, the node of the configuration that it is
    built from.
    """
    return {
        scene.name: {
            "source": {"path": scene.source.describe(), **scene.source.identity()},
            "truth": str(scene.source.truth) if scene.source.truth else None,
            "results": {
                name: {
                    "wanted": name in plan.wanted,
                    "helper": plan.all_stages[name].is_helper,
                    "choice": choices[name],
                    "group": groups[name],
                    **_describe_result(scene.results[name]),
                }
                for name in plan.complete_stages(scene)
            },
        }
        for scene in plan.scenes
    }


def _describe_result(result: Result) -> dict[str, Any]:
    seal = result.seal()
    facts = seal.facts if seal is not None else {}
    files = sorted(f for item in result.items().values() for f in item.files.items())
    lines = "".join(f"{name} {digest}\n" for name, (_, digest) in files)
    return {
        "key": result.key,
        "backend": result.recipe.backend,
        "weights": result.recipe.weights,
        "inputs": result.recipe.inputs,
        "seconds": facts.get("seconds"),
        "memory": facts.get("memory"),
        "device_memory": facts.get("device_memory"),
        "device": facts.get("device"),
        "files": len(files),
        "bytes": sum(size for _, (size, _) in files),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }
