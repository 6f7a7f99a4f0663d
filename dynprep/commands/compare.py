"""``dynprep compare FOLDER|RUN RUN …``: compare runs made at any time."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dynprep.commands import fail
from dynprep.compare.entries import find_entries
from dynprep.compare.make import compare
from dynprep.conf_folder import CONF
from dynprep.config.build import compare_options
from dynprep.errors import UserError

_CONFIG = CONF / "config.yaml"


def main(arguments: Sequence[str]) -> int:
    """Compare the runs that the arguments name, and return the exit status."""
    parser = argparse.ArgumentParser(prog="dynprep compare", description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs or sweeps; compare.OPTION=VALUE")
    parser.add_argument("--out", type=Path, help="folder for tables and page; the first run's")
    parser.add_argument(
        "--columns",
        default="",
        metavar="NAME,NAME",
        help="columns of comparison.tex, such as alignment/absrel,tracks/AJ; the eight most telling",
    )
    named = parser.parse_intermixed_args(list(arguments))
    try:
        overrides = [a for a in named.runs if a.startswith("compare.")]
        folders = [Path(a) for a in named.runs if a not in overrides]
        merged = OmegaConf.merge(OmegaConf.load(_CONFIG), OmegaConf.from_dotlist(overrides))
        plain: Any = OmegaConf.to_container(merged)
        options = compare_options(plain["compare"])
        entries, undone = find_entries(folders)
        if not entries:
            reasons = "; ".join(f"{name}: {why}" for name, why in undone.items())
            raise UserError(f"no finished run to compare ({reasons})")
        for name, why in undone.items():
            print(f"! {name} is left out: {why}", file=sys.stderr)
        columns = [name for name in named.columns.split(",") if name]
        compare(entries, undone, named.out or folders[0], options, columns)
    except (UserError, OmegaConfBaseException, OSError) as error:
        return fail(str(error))
    return 0
