"""What Hydra refuses, said with the options and choices that exist."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException

from dynprep.conf_folder import CONF, choices_of, read_choice, read_yaml
from dynprep.errors import UserError, nearest

_UNKNOWN = re.compile(r"not in struct|Could not override|No match in the defaults", re.IGNORECASE)
_ASIDE = (
    "hydra",
    "experiment",
)  # folders of the configuration that hold no options of dynprep's own
_EXTRAS = {  # choices that come with a package which is not installed by default
    "hydra/launcher/submitit_local": "slurm",
    "hydra/launcher/submitit_slurm": "slurm",
    "hydra/sweeper/optuna": "search",
    "hydra/sweeper/sampler/tpe": "search",
}


def about_choice(error: MissingConfigException) -> str:
    """A line such as ``depth=paralax: no such choice; did you mean parallax?``."""
    name = str(error.missing_cfg_file or "")
    group, _, choice = name.rpartition("/")
    known = [str(o) for o in error.options or [] if not str(o).startswith("_")]
    if (extra := _EXTRAS.get(name)) is not None:
        return f"{group}={choice}: needs more packages: pip install 'dynprep[{extra}]'"
    if not known:
        return str(error)
    close = difflib.get_close_matches(choice, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}"
    return f"{group}={choice}: no such choice; {hint}"


def about_option(message: str, folders: Sequence[Path]) -> str:
    """Hydra's message about an option, with the nearest options that exist."""
    head = message.strip().splitlines()[0]
    if not _UNKNOWN.search(message):
        quotes = "values with commas, brackets or spaces need quotes: 'data.path=\"a (1).mp4\"'"
        return f"{head} (see dynprep --help; {quotes})"
    quoted = head.split("'")[1] if head.count("'") >= 2 else ""
    name = quoted.split("=")[0].lstrip("+~")
    if not name:
        return head
    known = known_options(folders)
    if name in known:  # some choice has it, the chosen one does not
        return f"{name} is an option of {' and '.join(known[name])}; choose that first"
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else "see dynprep --help"
    return f"{name}: no such option; {hint}"


def about_composition(error: Exception, folders: Sequence[Path]) -> str:
    """Why a configuration could not be composed: the first of the user's files that cannot be read, if one is why."""
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")) if folder != CONF else ():
            try:
                read_yaml(path)
            except UserError as fault:
                return str(fault)
    if isinstance(error, OSError):  # Hydra makes the run's folder
        return f"hydra.run.dir: {error.filename}: {error.strerror}; choose another hydra.run.dir"
    return f"the configuration cannot be composed ({' '.join(str(error).split())})"


def check_choice(group: str, choice: str, folders: Sequence[Path]) -> None:
    """Raise UserError for a choice of a sweep that no file holds: Hydra would find out at that job."""
    known = sorted(choices_of(group, folders))
    if known and choice.isidentifier() and choice not in (*known, "null"):
        raise UserError(f"{group}={choice}: no such choice; {nearest(choice, known)}")


def known_options(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Every option and group that some choice has, by dotted name, with those choices."""
    options: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            inner = path.relative_to(folder).parts
            if inner[0] in _ASIDE or any(part.startswith("_") for part in inner):
                continue
            group = inner[0] if len(inner) > 1 else ""
            choice = f"{group}={path.stem}" if group else "config"
            if group:
                options.setdefault(group, []).append(choice)
            _collect(read_choice(path), group, choice, options)
    return options


def _collect(node: Any, above: str, choice: str, options: dict[str, list[str]]) -> None:
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if str(key) in ("defaults", "_target_", "hydra"):
            continue
        name = f"{above}.{key}" if above else str(key)
        options.setdefault(name, []).append(choice)
        _collect(value, name, choice, options)
