"""``dynprep run``: Hydra composes the configuration, and runs a job or a multirun of jobs."""

import contextlib
import io
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dynprep import stopping
from dynprep.commands import fail
from dynprep.commands.as_typed import WITH_VALUE, as_typed, refuse_several_choices
from dynprep.conf_folder import CONF, conf_folders, users_conf
from dynprep.config.hints import (
    about_choice,
    about_composition,
    about_option,
    check_choice,
    known_options,
)
from dynprep.config.typed import trust_packages
from dynprep.errors import UserError
from dynprep.launchers.names import prefer_own_launchers
from dynprep.search_result import winner
from dynprep.stopping import STOPPED
from dynprep.sweep import Sweep, current, in_process, tell_failed, unfinished

_HELP_WIDTH = 98
_MULTIRUN = ("-m", "--multirun")
_NAMED = "command-line"  # how Hydra calls the source that --config-dir names
_composed: list[
    bool
] = []  # whether the configuration could be composed: what fails then is the job


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _job(composed: DictConfig) -> float | None:
    # imported here, so that --help and mistyped options answer at once
    from dynprep.app import run
    from dynprep.job import Job
    from dynprep.record import fail_early, forget_refused, was_planned

    stopping.end_with_main()
    _composed.append(True)

    hydra_config = HydraConfig.get()
    choices = {str(k): str(v) for k, v in hydra_config.runtime.choices.items()}
    overrides = tuple(hydra_config.overrides.task)
    # a folder of the user's own that was named for this command
    named = (
        source.path for source in hydra_config.runtime.config_sources if source.provider == _NAMED
    )
    flags = tuple(f"--config-dir={path}" for path in named)
    job = Job(overrides, flags=flags)
    if hydra_config.mode is RunMode.MULTIRUN:
        in_parallel = not in_process(str(hydra_config.launcher._target_))
        folder = Path(hydra_config.sweep.dir)
        job = Job(overrides, folder, int(hydra_config.job.num), in_parallel, flags)
    output = Path(hydra_config.runtime.output_dir)
    try:
        plain = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        if job.sweep is not None:
            fail_early(output, job, str(error).splitlines()[0])
            if not job.in_parallel:
                tell_failed(job.title, str(error).splitlines()[0])
        raise
    assert isinstance(plain, dict)
    config: dict[str, Any] = {str(k): v for k, v in plain.items()}
    if any(override.lstrip("+").startswith("packages=") for override in overrides):
        trust_packages(config["packages"])
    try:
        return run(config, choices, output, job).objective
    except UserError as error:
        if job.sweep is None:  # Hydra would print the overrides before it
            status = fail(str(error))
            if not was_planned(output):
                forget_refused(output)
            sys.exit(status)
        if not job.in_parallel:  # else whoever follows the jobs does
            tell_failed(job.title, str(error))
        raise
    except Exception as error:
        if job.sweep is not None:
            traceback.print_exc()
            if not job.in_parallel:
                tell_failed(job.title, str(error) or type(error).__name__)
        raise


def main(arguments: Sequence[str]) -> int:
    """Run a job or a multirun, and return the exit status."""
    if any(argument.startswith("--experimental-rerun") for argument in arguments):
        return fail(
            "--experimental-rerun reads a pickle, which may run code; use dynprep reproduce RUN"
        )
    for argument in arguments:
        if not argument.isascii() and any(0xD800 <= ord(c) < 0xE000 for c in argument):
            return fail(f"{argument}: is not valid UTF-8; rename the file or folder")
    try:
        status = _start(list(arguments))
    finally:
        if (sweep := current()) is not None:
            sweep.end()  # whatever happened: the terminal must be as it was
    if sweep is not None and status != STOPPED:
        status = max(status, _close(sweep))
    return status


def _start(arguments: list[str]) -> int:
    _composed.clear()
    prefer_own_launchers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and one line can be made of it here
    folders = conf_folders(arguments)
    try:
        is_multirun = bool(set(_MULTIRUN) & set(arguments))
        arguments = as_typed(arguments, is_multirun)
        if not is_multirun:
            refuse_several_choices(arguments, folders)
        sys.argv[1:] = flags_first(let_swept_options_through(arguments, folders))
        users = users_conf()
        if users is not None and not any(a.startswith("hydra.searchpath=") for a in arguments):
            sys.argv.append(f"hydra.searchpath=['file://{users}']")
        if {"--help", "-h"} & set(arguments):
            _show_help()
        else:
            _job()
    except MissingConfigException as error:
        return fail(about_choice(error))
    except KeyboardInterrupt:
        return STOPPED
    except Exception as error:
        if stopping.is_told():
            return STOPPED
        sweep = current()
        if sweep is not None and (undone := unfinished(sweep.records())):
            # a job's error is printed with the jobs; a launcher's is its own
            if not any(str(error).startswith(why[:40]) for why in undone.values()):
                fail(f"{_first_line(error)}; run the same command again to go on")
            return 1
        if sweep is not None and sweep.in_parallel and not sweep.records():
            return fail(f"no job began: {_first_line(error)}; run the same command again to go on")
        if (line := _line_of(error, folders)) is None:
            raise
        return fail(line)
    return 0


def _line_of(error: Exception, folders: Sequence[Path]) -> str | None:
    """What to say of an error; None for one that is the program's own."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return about_option(str(error), folders)
    # before the job: a file of the user's that Hydra stumbles over
    return None if _composed else about_composition(error, folders)


def _close(sweep: Sweep) -> int:
    """Say how the jobs of a multirun ended, and compare what they made."""
    if sweep.in_parallel:
        sweep.tell()
    records = sweep.records()
    if not records:
        return 0
    from dynprep.compare.make import compare_sweep
    from dynprep.report.overview import are_shared_out, write_overview

    status = 0
    try:
        if are_shared_out(records):
            print(f"overview    {write_overview(sweep.folder, records)}", file=sys.stderr)
        else:
            compare_sweep(sweep.folder, list(records))
    except Exception as error:  # the jobs' results are complete: say how they ended all the same
        if not isinstance(error, UserError | OSError):
            traceback.print_exc()
        status = fail(f"no comparison: {_first_line(error)}")
    for name, why in unfinished(records).items():
        status = fail(f"{name} is not done: {why}")
    if (best := winner(sweep.folder, sweep.began)) is not None:
        print(best, file=sys.stderr)
    return status


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def flags_first(arguments: Sequence[str]) -> list[str]:
    """The command line with its flags, and their values, before the overrides: Hydra takes them there alone."""
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        if argument in WITH_VALUE:
            flags += [value for value in [next(rest, None)] if value is not None]
    return [*flags, *overrides]


def let_swept_options_through(arguments: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """A command line whose options of swept groups go to every job.

    In a multirun Hydra first composes without the swept choices, and refuses options that the default choice
    lacks; ``++`` lets them through. What a job's choice lacks is refused by the job. Raises UserError for a choice
    that does not exist.
    """
    if not set(_MULTIRUN) & set(arguments):
        return list(arguments)
    # jobs of some launchers are programs of their own, and must find this one
    package = str(Path(__file__).resolve().parents[2])
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != package]
    os.environ["PYTHONPATH"] = os.pathsep.join([package, *path])
    groups = {a.split("=")[0] for a in arguments if "," in a.partition("=")[2]}
    for argument in arguments:
        group, _, values = argument.partition("=")
        # a list is one choice of several parts
        for choice in values.split(",") if group in groups and "[" not in values else []:
            check_choice(group, choice, folders)
    known = known_options(folders)

    def through(argument: str) -> str:
        name = argument.partition("=")[0]
        of_swept = name.split(".")[0] in groups or "experiment" in groups
        return f"++{argument}" if of_swept and "." in name and name in known else argument

    return [through(a) if "=" in a else a for a in arguments]


def _show_help() -> None:
    """Print Hydra's help, wrapped, without the shared parts that its lists of choices name."""
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught), contextlib.suppress(SystemExit):  # Hydra ends there
        _job()
    for line in caught.getvalue().splitlines():
        if line.startswith("_"):  # a folder of shared parts
            continue
        shown = re.sub(r"(?<=[:,] )_\w+, |, _\w+(?=,|$)", "", line)
        narrow = textwrap.wrap(
            shown, _HELP_WIDTH, subsequent_indent="      ", break_long_words=False
        )
        print("\n".join(narrow if len(shown) > _HELP_WIDTH else [shown]))
