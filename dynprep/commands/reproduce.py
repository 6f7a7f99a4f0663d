"""``dynprep reproduce RUN``: repeat a recorded run from nothing, and say whether the bytes are the same."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from dynprep.app import run
from dynprep.config.typed import trust_packages
from dynprep.errors import UserError
from dynprep.files import write_json
from dynprep.job import Job
from dynprep.record_shape import read_record
from dynprep.run_file import DONE

REPORT = "reproduction.json"


def main(arguments: Sequence[str]) -> int:
    """Repeat the run that the argument names, and return the exit status."""
    parser = argparse.ArgumentParser(prog="dynprep reproduce", description=__doc__)
    parser.add_argument(
        "run", type=Path, nargs="*", help="folder of the run, such as outputs/runs/DATE/TIME"
    )
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        help="a package that you trust and whose classes the run used",
    )
    named = parser.parse_args(list(arguments))
    if len(named.run) != 1:
        raise UserError(
            "reproduce: name one run's folder, such as outputs/runs/DATE/TIME: it is repeated as it was"
        )
    trust_packages(named.package)
    return reproduce(named.run[0])


def reproduce(original: Path) -> int:
    """Repeat the run in folder ``original``; returns 0 if every result has the same bytes, else 1.

    Nothing of its store is used: all is computed again, under outputs/reproductions. Raises UserError for a run
    that cannot be repeated.
    """
    before = read_record(original)
    if before["status"] != DONE:
        raise UserError(f"{original}: that run did not end well ({before['failure']})")
    now = datetime.now()
    folder = Path("outputs/reproductions", f"{now:%Y-%m-%d}", f"{now:%H-%M-%S-%f}").absolute()
    folder.mkdir(parents=True)
    if Path(before["folder"]).is_dir():  # relative paths mean what they meant
        os.chdir(before["folder"])
    logger = before["config"].get("logger")
    results = [r for scene in before["scenes"].values() for r in scene["results"].items()]
    stages = {name for name, result in results if not result["helper"]}
    config = {
        **before["config"],
        # also what that run found in its store is made again
        "stages": sorted(stages) or "all",
        "store_dir": str(folder / "store"),
        "dataset_dir": str(folder / "dataset"),
        "logger": {**(logger if isinstance(logger, dict) else {}), "mode": "disabled"},
    }
    run(config, before["choices"], folder, Job(tuple(before["overrides"])))
    after = read_record(folder)
    outcome = {
        scene: _results(
            was["results"], after["scenes"][scene]["results"] if scene in after["scenes"] else {}
        )
        for scene, was in before["scenes"].items()
    }
    changes = _changes(before["environment"], after["environment"])
    write_json(folder / REPORT, {"of": str(original), "results": outcome, "environment": changes})
    return _tell(original, folder, outcome, changes)


def _results(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """By stage: same, or what differs."""
    outcome = {}
    for stage, old in was.items():
        new = now.get(stage)
        if new is None:
            # a helper that nobody needed this time, or one that was only in the store before
            outcome[stage] = "not made"
        elif new["sha256"] == old["sha256"]:
            outcome[stage] = "same"
        elif new["weights"] != old["weights"]:
            outcome[stage] = "differs: other weights"
        elif new["inputs"] != old["inputs"] and _from_outside(new) != _from_outside(old):
            outcome[stage] = "differs: other files from outside"
        elif new["files"] != old["files"]:
            outcome[stage] = f"differs: {new['files']} files instead of {old['files']}"
        else:
            outcome[stage] = "differs"
    return outcome


def _from_outside(result: Mapping[str, Any]) -> dict[str, str]:
    return {k: v for k, v in result["inputs"].items() if k.startswith("file:")}


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What of the environment is not as it was: [then, now] by name."""
    flat = [
        {
            "python": e["python"],
            **{f"package {k}": v for k, v in e["packages"].items()},
            **{f"hardware {k}": v for k, v in e["hardware"].items()},
            **{f"code {k}": v for k, v in e["code"].items()},
        }
        for e in (was, now)
    ]
    names = sorted({*flat[0], *flat[1]})
    return {n: [flat[0].get(n), flat[1].get(n)] for n in names if flat[0].get(n) != flat[1].get(n)}


def _tell(
    original: Path, folder: Path, results: dict[str, dict[str, str]], changes: dict[str, list[Any]]
) -> int:
    print(f"\nreproduction of {original}")
    same = True
    for scene, stages in results.items():
        for stage, how in stages.items():
            same &= how == "same"
            print(f" {scene}/{stage:<18} {how}")
    print("environment: " + ("as it was" if not changes else f"{len(changes)} differences"))
    for name, (then, now) in changes.items():
        print(f" {name}: {then} then, {now} now")
    print("the same bytes" if same else "NOT the same bytes", flush=True)
    print(f"details  {folder / REPORT}", file=sys.stderr)
    return 0 if same else 1
