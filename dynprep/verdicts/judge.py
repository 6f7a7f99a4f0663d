"""Makes all checks that a scene's results allow; what they measure is kept in the store, once for all bounds."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.images import Images
from dynprep.cores import cores
from dynprep.foreign import check as check_type
from dynprep.store import ItemWriter, Recipe, Store
from dynprep.verdicts import camera, depth, frames, masks, motion
from dynprep.verdicts.check import Check, Measures
from dynprep.verdicts.finding import Finding, Verdict
from dynprep.verdicts.options import VerdictBounds
from dynprep.watch import Watch, no_progress

CHECKS: tuple[Check, ...] = (
    *frames.CHECKS,
    *camera.CHECKS,
    *depth.CHECKS,
    *masks.CHECKS,
    *motion.CHECKS,
)
JUDGED = frozenset(check.of.name for check in CHECKS)  # stages whose results are looked at
_FILE = "measures.json"


def judge(
    scene: SceneResults,
    complete: Collection[str],
    bounds: VerdictBounds,
    store: Store,
    among: Sequence[Check] = CHECKS,
    watch: Watch = no_progress,
) -> Verdict:
    """The verdict on a scene's complete results. complete: names of their stages; among: checks that are made where
    they can be."""
    known = replace(scene, results={k: v for k, v in scene.results.items() if k in complete})
    checks = [c for c in among if c.of in known and all(a in known for a in c.reads)]
    with ThreadPoolExecutor(cores()) as pool, watch("verdict", len(checks)) as advance:
        every = []
        for measured in pool.map(lambda check: _measures(check, known, store), checks):
            every.append(measured)
            advance(1)
    findings: list[Finding] = []
    measures: dict[str, Measures] = {}
    stems = scene.frames.stems
    for check, measured in zip(checks, every, strict=True):
        findings += check.judge(check.of.name, measured, bounds, stems)
        measures.setdefault(check.of.name, {}).update(measured)
    return Verdict(tuple(findings), sum(check.kinds for check in checks), measures)


def _measures(check: Check, scene: SceneResults, store: Store) -> Measures:
    read: list[type[Artefact]] = [
        check.of,
        Images,
        *check.reads,
        *(a for a in check.uses if a in scene),
    ]
    recipe = Recipe(
        stage="verdicts",
        backend=check.name,
        kind_version=check.version,
        options={"of": check.of.name},
        inputs={artefact.name: scene.key(artefact) for artefact in read},
    )
    write = partial(_write, check, scene)
    measures: Measures = store.cached(recipe, write).json(_FILE)
    check_type(measures, dict[str, list[float | None]], _FILE)
    return measures


def _write(check: Check, scene: SceneResults, writer: ItemWriter) -> None:
    writer.json(_FILE, check.measure(check.of, scene))
