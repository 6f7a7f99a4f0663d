"""Scores of a scene, each computed once for all runs that share what it is computed from."""

import hashlib
import math
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from dynprep.cores import cores
from dynprep.files import sha256
from dynprep.scene.truth import Truth
from dynprep.stages.inputs import SceneResults
from dynprep.store import ItemWriter, Recipe, Store

Scores = dict[str, float]

_IMPORTING = threading.Lock()
_FILE = "scores.json"
_VERSION = 2  # raise it when the same results give other scores


@dataclass(frozen=True)
class Judge:
    """A function that gives scores of a stage, and the other stages whose results it reads."""

    module: str
    function: str
    others: tuple[str, ...] = ()


def _judges(
    module: str, functions: Mapping[str, str], **others: tuple[str, ...]
) -> dict[str, Judge]:
    where = f"dynprep.scores.{module}"
    return {name: Judge(where, f, others.get(f, ())) for name, f in functions.items()}


# by stage, or stage and what is looked at
_MAPS = ("depth", "metric_depth", "alignment")
_AGAINST_TRUTH = _judges(
    "against_truth",
    {**dict.fromkeys((*_MAPS, "prior"), "depth"), "masks": "masks", "flow": "tracks"},
)
_WITHOUT_TRUTH = _judges(
    "without_truth",
    {
        "flow": "cycles",
        "alignment_fit": "fits",
        **{f"{stage}.steadiness": "steadiness" for stage in _MAPS},
        **{f"{stage}.edges": "edges" for stage in _MAPS},
    },
    steadiness=("flow",),
)


def score(inputs: SceneResults, stages: Iterable[str], truth: Path | None, store: Store) -> Scores:
    """Scores by name for those of ``stages`` that there is truth for. Empty without truth."""
    if truth is None:
        return {}
    known = Truth(truth)
    files = sorted(path for path in truth.rglob("*") if path.is_file())
    content = "\n".join(f"{path.relative_to(truth)} {sha256(path)}" for path in files)
    outside = {"file:truth": hashlib.sha256(content.encode()).hexdigest()}
    return _all(_AGAINST_TRUTH, inputs, stages, store, outside, known)


def consistency(inputs: SceneResults, stages: Iterable[str], store: Store) -> Scores:
    """What can be said without truth."""
    return _all(_WITHOUT_TRUTH, inputs, stages, store, {}, None)


def _all(
    judges: Mapping[str, Judge],
    inputs: SceneResults,
    stages: Iterable[str],
    store: Store,
    outside: dict[str, str],
    truth: Truth | None,
) -> Scores:
    shown = {*stages, "images"}

    def judged(name: str) -> Scores:
        judge, stage = judges[name], name.split(".", maxsplit=1)[0]
        read = (stage, "images", *judge.others)
        recipe = Recipe(
            stage="scores",
            version=_VERSION,
            backend=f"{judge.module}.{judge.function}",
            options={"of": stage},
            inputs={**{n: inputs[n].key for n in read}, **outside},
        )
        given = (inputs, stage) if truth is None else (inputs, stage, truth)
        found: Scores = store.kept(recipe, partial(_write, judge, given)).json(_FILE)
        return found

    able = [n for n, judge in judges.items() if {n.split(".")[0], *judge.others} <= shown]
    with ThreadPoolExecutor(cores()) as pool:
        return {k: v for scores in pool.map(judged, able) for k, v in scores.items()}


def _write(judge: Judge, given: tuple[Any, ...], writer: ItemWriter) -> None:
    # imported only here: torchmetrics takes seconds, and mostly the scores are there
    with _IMPORTING:  # modules that need each other must not be begun by two threads
        compute = getattr(import_module(judge.module), judge.function)
    scores: Scores = compute(*given)
    writer.json(_FILE, {k: v for k, v in scores.items() if not math.isnan(v)})
