"""What jobs of a multirun are called: which of how many, and the settings that the multirun varies."""

import json
import os
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

_VARIED = "DYNPREP_VARIED"  # environment of jobs, whichever launcher starts them: how many, and what varies


def announce(overrides: Sequence[str], sweeper: Mapping[str, Any]) -> None:
    """Tell the jobs that will be started how many they are and what varies.

    overrides: of the multirun; sweeper: its configuration, which may name parameters and a number of trials.
    """
    parameters = [f"{name}={values}" for name, values in (sweeper.get("params") or {}).items()]
    varied = [o for text in (*overrides, *parameters) if (o := _parsed(text)) and _varies(o)]
    trials = sweeper.get("n_trials")
    count = trials if isinstance(trials, int) else _count(varied)
    names = [str(override.key_or_group) for override in varied]
    os.environ[_VARIED] = json.dumps({"count": count, "names": list(dict.fromkeys(names))})


def label(number: int, overrides: Sequence[str]) -> str:
    """Such as ``job 2/4 alignment=huber flow.rate=8``. number: from 0, as Hydra counts; overrides: of the job."""
    announced = json.loads(os.environ.get(_VARIED, "{}"))
    names, count = announced.get("names"), announced.get("count")
    own = [o for o in overrides if names is None or o.partition("=")[0].lstrip("+") in names]
    return " ".join([title(number, count), *(o.lstrip("+") for o in own)])


def title(number: int, count: int | None = None) -> str:
    """Such as ``job 2/4``. number: from 0."""
    of = announced_count() if count is None else count
    return f"job {number + 1}" + (f"/{of}" if of else "")


def announced_count() -> int | None:
    """How many jobs there are; None where only Hydra knows."""
    count: int | None = json.loads(os.environ.get(_VARIED, "{}")).get("count")
    return count


def _parsed(text: str) -> Override | None:
    """An override as Hydra reads it; None for what it will refuse itself."""
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except HydraException:
        return None
    return override


def _varies(override: Override) -> bool:
    return bool(override.is_sweep_override())


def _count(varied: Sequence[Override]) -> int | None:
    """How many jobs the basic sweeper makes of them; None where only Hydra knows, as for patterns."""
    lengths = []
    for override in varied:
        if not (override.is_choice_sweep() or override.is_range_sweep()):
            return None
        lengths.append(sum(1 for _ in override.sweep_iterator()))
    return prod(lengths)
