"""Hydra's entry: composes the configuration, runs a job, says errors in one line."""

import contextlib
import difflib
import io
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dynprep.errors import UserError

_UNKNOWN = re.compile(r"not in struct|Could not override|No match in the defaults", re.IGNORECASE)
_HELP_WIDTH = 98
CONF = str(Path(__file__).resolve().parents[1] / "conf")


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def _job(composed: DictConfig) -> None:
    # imported here, so that --help and mistyped options answer at once
    from dynprep.app import run, sweep_name

    job = HydraConfig.get()
    plain = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(plain, dict)
    choices = {str(k): str(v) for k, v in job.runtime.choices.items()}
    config: dict[str, Any] = {str(k): v for k, v in plain.items()}
    sweep = sweep_name(job.sweep.dir) if job.mode is RunMode.MULTIRUN else None
    try:
        run(config, choices, Path(job.runtime.output_dir), sweep)
    except UserError as error:
        if sweep is None:  # Hydra would print the overrides before it
            sys.exit(_fail(str(error)))
        print(f"dynprep: job {job.job.num}: {error}", file=sys.stderr)
        raise


def start() -> int:
    """Run the command line; returns the exit status."""
    if "--info=backends" in sys.argv or "--info backends" in " ".join(sys.argv):
        from dynprep.backend_list import show_backends

        show_backends(Path(CONF))
        return 0
    sys.argv[1:] = swept(sys.argv[1:])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and one line can be made of it here
    try:
        if {"--help", "-h"} & set(sys.argv[1:]):
            _show_help()
        else:
            _job()
    except UserError as error:
        return _fail(str(error))
    except MissingConfigException as error:
        return _fail(_missing(error))
    except (HydraException, OmegaConfBaseException) as error:
        return _fail(_option(str(error)))
    except KeyboardInterrupt:
        return _fail("stopped; run the same command again to go on where it stopped")
    return 0


def swept(arguments: list[str]) -> list[str]:
    """A command line whose options of swept groups go to every job.

    In a multirun Hydra first composes without the swept choices, and refuses options that the
    default choice lacks; ``++`` lets them through. What a job's choice lacks is refused by the job.
    """
    if not {"-m", "--multirun"} & set(arguments):
        return arguments
    groups = {a.split("=")[0] for a in arguments if "," in a.partition("=")[2]}
    known = known_options()

    def through(argument: str) -> str:
        name = argument.partition("=")[0]
        of_swept = name.split(".")[0] in groups or "experiment" in groups
        return f"++{argument}" if of_swept and "." in name and name in known else argument

    return [through(a) if "=" in a else a for a in arguments]


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
