"""Scores of a scene, each computed once for all runs that share what it is computed from."""

import hashlib
import math
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.base import Scorer, Scores
from dynprep.artefacts.images import Images
from dynprep.cores import cores
from dynprep.files import sha256
from dynprep.scene.truth import Truth
from dynprep.store import ItemWriter, Recipe, Store
from dynprep.watch import Watch, no_progress

_FILE = "scores.json"
_IMPORTING = threading.Lock()


def score(
    scene: SceneResults,
    stages: Iterable[str],
    truth: Path | None,
    store: Store,
    watch: Watch = no_progress,
) -> Scores:
    """Scores against the truth, by name, of the results of ``stages``. Empty without truth."""
    if truth is None:
        return {}
    files = sorted(path for path in truth.rglob("*") if path.is_file())
    content = "\n".join(f"{path.relative_to(truth)} {sha256(path)}" for path in files)
    outside = {"file:truth": hashlib.sha256(content.encode()).hexdigest()}
    return _score_all(scene, stages, store, Truth(truth), outside, watch)


def consistency(
    scene: SceneResults, stages: Iterable[str], store: Store, watch: Watch = no_progress
) -> Scores:
    """What can be said of the results of ``stages`` without truth, by name."""
    return _score_all(scene, stages, store, None, {}, watch)


def _score_all(
    scene: SceneResults,
    stages: Iterable[str],
    store: Store,
    truth: Truth | None,
    outside: dict[str, str],
    watch: Watch,
) -> Scores:
    artefacts = [Artefact.registry[name] for name in stages]
    shown = {*artefacts, Images}

    def cached(artefact: type[Artefact], scorer: Scorer) -> Scores:
        read: list[type[Artefact]] = [artefact, Images, *scorer.reads]
        recipe = Recipe(
            stage="scores",
            backend=scorer.name,
            kind_version=scorer.version,
            options={"of": artefact.name},
            inputs={**{a.name: scene.key(a) for a in read}, **outside},
        )
        write = partial(_write, scene, artefact, scorer, truth)
        scores: Scores = store.cached(recipe, write).json(_FILE)
        return scores

    todo = [
        (artefact, scorer)
        for artefact in artefacts
        for scorer in artefact.scorers
        if scorer.against_truth == (truth is not None) and set(scorer.reads) <= shown
    ]
    what = "consistency" if truth is None else "scores"
    every: Scores = {}
    with ThreadPoolExecutor(cores()) as pool, watch(what, len(todo)) as advance:
        for scores in pool.map(lambda pair: cached(*pair), todo):
            every |= scores
            advance(1)
    return every


def _write(
    scene: SceneResults,
    artefact: type[Artefact],
    scorer: Scorer,
    truth: Truth | None,
    writer: ItemWriter,
) -> None:
    with (
        _IMPORTING
    ):  # torchmetrics takes seconds, mostly the scores exist, and two threads may not begin it
        import dynprep.metrics.values  # noqa: F401
    arguments = (artefact, scene) if truth is None else (artefact, scene, truth)
    scores = scorer.compute(*arguments)
    writer.json(_FILE, {k: v for k, v in scores.items() if not math.isnan(v)})
