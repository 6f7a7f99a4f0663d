"""Hydra's entry: composes the configuration, runs a job, says errors in one line."""

import contextlib
import difflib
import io
import os
import re
import sys
import textwrap
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dynprep.errors import UserError, nearest
from dynprep.sweep import Sweep, current, in_process, tell_failed, unfinished

_UNKNOWN = re.compile(r"not in struct|Could not override|No match in the defaults", re.IGNORECASE)
_HELP_WIDTH = 98
_EXTRAS = {  # choices that come with a package which is not installed by default
    "hydra/launcher/submitit_local": "hydra-submitit-launcher",
    "hydra/launcher/submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher/ray": "hydra-ray-launcher",
    "hydra/sweeper/optuna": "hydra-optuna-sweeper",
    "hydra/sweeper/sampler/tpe": "hydra-optuna-sweeper",
}
STOPPED = 130  # the exit status of a program that was interrupted
CONF = str(Path(__file__).resolve().parents[1] / "conf")


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def _job(composed: DictConfig) -> float | None:
    # imported here, so that --help and mistyped options answer at once
    from dynprep.app import run
    from dynprep.record import Job, fail_early

    hydra_says = HydraConfig.get()
    choices = {str(k): str(v) for k, v in hydra_says.runtime.choices.items()}
    overrides = tuple(hydra_says.overrides.task)
    job = Job(overrides)
    if hydra_says.mode is RunMode.MULTIRUN:
        beside = not in_process(str(hydra_says.launcher._target_))
        folder = Path(hydra_says.sweep.dir)
        job = Job(overrides, folder, int(hydra_says.job.num), beside)
    output = Path(hydra_says.runtime.output_dir)
    try:
        plain = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        if job.sweep is not None:
            fail_early(output, job, str(error).splitlines()[0])
            if not job.beside_others:
                tell_failed(job.number, str(error).splitlines()[0])
        raise
    assert isinstance(plain, dict)
    config: dict[str, Any] = {str(k): v for k, v in plain.items()}
    try:
        return run(config, choices, output, job).objective
    except UserError as error:
        if job.sweep is None:  # Hydra would print the overrides before it
            sys.exit(_fail(str(error)))
        if not job.beside_others:  # else whoever follows the jobs does
            tell_failed(job.number, str(error))
        raise
    except Exception as error:
        if job.sweep is not None:
            traceback.print_exc()
            if not job.beside_others:
                tell_failed(job.number, str(error) or type(error).__name__)
        raise


def start() -> int:
    """Run the command line; returns the exit status."""
    if "--info=backends" in sys.argv or "--info backends" in " ".join(sys.argv):
        from dynprep.backend_list import show_backends

        show_backends(Path(CONF))
        return 0
    status = _start()
    if (sweep := current()) is not None and status != STOPPED:
        sweep.end()
        status = max(status, _close(sweep))
    return status


def _start() -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and one line can be made of it here
    try:
        sys.argv[1:] = swept(sys.argv[1:])
        if (wanted := _reproduced(sys.argv[1:])) is not None:
            from dynprep.reproduce import reproduce

            return reproduce(*wanted)
        if {"--help", "-h"} & set(sys.argv[1:]):
            _show_help()
        else:
            _job()
    except MissingConfigException as error:
        return _fail(_missing(error))
    except KeyboardInterrupt:
        _fail("stopped; run the same command again to go on where it stopped")
        return STOPPED
    except Exception as error:
        sweep = current()
        if sweep is not None and (undone := unfinished(sweep.records())):
            # a job's error is told with the jobs; a launcher's is its own
            if not any(str(error).startswith(why[:40]) for why in undone.values()):
                _fail(f"{_first_line(error)}; run the same command again to go on")
            return 1
        if isinstance(error, UserError):
            return _fail(str(error))
        if isinstance(error, HydraException | OmegaConfBaseException):
            return _fail(_option(str(error)))
        raise
    return 0


def _close(sweep: Sweep) -> int:
    """Say how the jobs of a multirun ended, and compare what they made."""
    if sweep.beside:
        sweep.tell()
    records = sweep.records()
    if not records:
        return 0
    from dynprep.compare import compare_sweep

    status = 0
    try:
        compare_sweep(sweep.folder, list(records))
    except Exception as error:  # the jobs' results are whole: say how they ended all the same
        if not isinstance(error, UserError | OSError):
            traceback.print_exc()
        status = _fail(f"no comparison: {_first_line(error)}")
    for name, why in unfinished(records).items():
        status = _fail(f"job {name} of {len(records)} is not done: {why}")
    return status


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _reproduced(arguments: list[str]) -> tuple[Path, list[str]] | None:
    """What follows ``--reproduce``, and the other arguments."""
    if "--reproduce" not in arguments:
        return None
    at = arguments.index("--reproduce")
    if at + 1 >= len(arguments):
        raise UserError("--reproduce: name a run's folder, such as outputs/runs/DATE/TIME")
    return Path(arguments[at + 1]), arguments[:at] + arguments[at + 2 :]


def swept(arguments: list[str]) -> list[str]:
    """A command line whose options of swept groups go to every job.

    In a multirun Hydra first composes without the swept choices, and refuses options that the
    default choice lacks; ``++`` lets them through. What a job's choice lacks is refused by the job.
    """
    if not {"-m", "--multirun"} & set(arguments):
        return arguments
    # jobs of some launchers are programs of their own, and must find this one
    ours = str(Path(CONF).parent)
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != ours]
    os.environ["PYTHONPATH"] = os.pathsep.join([ours, *path])
    groups = {a.split("=")[0] for a in arguments if "," in a.partition("=")[2]}
    for argument in arguments:  # Hydra would find out at that job, after others have run
        group, _, values = argument.partition("=")
        for choice in values.split(",") if group in groups else []:
            _check_choice(group, choice)
    known = known_options()

    def through(argument: str) -> str:
        name = argument.partition("=")[0]
        of_swept = name.split(".")[0] in groups or "experiment" in groups
        return f"++{argument}" if of_swept and "." in name and name in known else argument

    return [through(a) if "=" in a else a for a in arguments]


def _check_choice(group: str, choice: str) -> None:
    folder = Path(CONF) / group
    known = sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []
    if known and choice.isidentifier() and choice not in (*known, "null"):
        raise UserError(f"{group}={choice}: no such choice; {nearest(choice, known)}")


def _show_help() -> None:
    """Hydra's help, whose lists of choices are longer than a line."""
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught), contextlib.suppress(SystemExit):  # Hydra ends there
        _job()
    for line in caught.getvalue().splitlines():
        narrow = textwrap.wrap(
            line, _HELP_WIDTH, subsequent_indent="      ", break_long_words=False
        )
        print("\n".join(narrow if len(line) > _HELP_WIDTH else [line]))


def _fail(text: str) -> int:
    print(f"dynprep: {' '.join(text.split())}", file=sys.stderr)
    return 1


def _missing(error: MissingConfigException) -> str:
    """'depth=paralax: there is no such option; did you mean parallax?'"""
    name = str(error.missing_cfg_file or "")
    group, _, option = name.rpartition("/")
    known = [str(o) for o in error.options or []]
    if (package := _EXTRAS.get(name)) is not None:
        return f"{group}={option}: needs a package: pip install {package}"
    if not known:
        return str(error)
    close = difflib.get_close_matches(option, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}"
    return f"{group}={option}: no such choice; {hint}"


def _option(message: str) -> str:
    """Hydra's message about an option, with the nearest options that exist."""
    head = message.strip().splitlines()[0]
    if not _UNKNOWN.search(message):
        quotes = "values with commas, brackets or spaces need quotes: 'data.path=\"a (1).mp4\"'"
        return f"{head} (see python run.py --help; {quotes})"
    quoted = head.split("'")[1] if head.count("'") >= 2 else ""
    name = quoted.split("=")[0].lstrip("+~")
    if not name:
        return head
    known = known_options()
    if name in known:  # some choice has it, the chosen one does not
        return f"{name} is an option of {' and '.join(known[name])}; choose that first"
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else "see python run.py --help"
    return f"{name}: no such option; {hint}"


def known_options() -> dict[str, list[str]]:
    """Every option and group that some choice has, by dotted name, with those choices."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(CONF).rglob("*.yaml")):
        inner = path.relative_to(CONF).parts
        if inner[0] in ("hydra", "experiment"):
            continue
        node = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        group = inner[0] if len(inner) > 1 else ""
        choice = f"{group}={path.stem}" if group else "config"
        if group:
            found.setdefault(group, []).append(choice)
        _collect(node, group, choice, found)
    return found


def _collect(node: Any, above: str, choice: str, found: dict[str, list[str]]) -> None:
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if str(key) in ("defaults", "_target_", "hydra"):
            continue
        name = f"{above}.{key}" if above else str(key)
        found.setdefault(name, []).append(choice)
        _collect(value, name, choice, found)
