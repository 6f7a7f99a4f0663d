"""One run: plan, execute, lay out, look."""

import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dynprep.config.build import Settings, settings
from dynprep.errors import UserError
from dynprep.files import write_json
from dynprep.pipeline.devices import take_one
from dynprep.pipeline.execute import check_disk, run_stage, settle_frames, versions
from dynprep.pipeline.faults import plain_errors
from dynprep.pipeline.plan import HELPERS, Plan, ScenePlan, make_plan
from dynprep.pipeline.trainer import one_thread_an_image
from dynprep.record import Job, Record, described
from dynprep.run_file import RUNNING
from dynprep.scene.truth import Truth
from dynprep.stages.alignment import REPORT
from dynprep.stages.images import expected
from dynprep.store import Store
from dynprep.store.references import made_in, remember
from dynprep.view.dataset import check_dataset_dir, lay_out
from dynprep.view.options import ready
from dynprep.view.summary import Summary
from dynprep.view.terminal import Terminal


def make(chosen: Settings, origin: dict[str, Any], store: Store) -> Plan:
    """Look at the sources and the store; compute nothing.

    Raises UserError for what cannot work.
    """
    scenes = []
    for source in chosen.data.sources(store):
        probe = source.probe()
        scenes.append((source, expected(probe, chosen.resolution)))
        if source.truth is not None:
            Truth(source.truth).check()
    users = set(chosen.wanted)
    for name, stage in chosen.stages.items():
        for source, frames in scenes:
            if name in users or name == "intrinsics":
                stage.check(source)
            if name in users and len(frames) < stage.fewest_frames:
                raise UserError(
                    f"{source.describe()}: {name} with this backend needs at least "
                    f"{stage.fewest_frames} frames, there is {len(frames)}"
                )
    plan = make_plan(chosen.stages, chosen.wanted, scenes, store, chosen.run.verify)
    for scene in plan.scenes:
        if plan.complete("images", scene):
            settle_frames(scene)
    check_dataset_dir(chosen.dataset_dir, plan, chosen.layout, origin)
    for name, stage in plan.stages.items():
        if any(not plan.complete(name, scene) for scene in plan.scenes):
            stage.inspect()
    return plan


def run(
    config: dict[str, Any], choices: Mapping[str, str], folder: Path, job: Job | None = None
) -> Summary:
    """Do what the configuration says. ``folder`` receives the record, report and media of this
    run; ``job`` says how it was asked for.

    Raises UserError for what the user can mend; the record and loggers are told before.
    """
    job = job or Job()
    with plain_errors("hydra.run.dir", folder):
        record = Record(folder, config, choices, job)
    try:
        return _run(config, choices, folder, job, record)
    except BaseException as error:
        if record.values["status"] == RUNNING:
            record.end(_said(error))
        raise


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _run(
    config: dict[str, Any], choices: Mapping[str, str], folder: Path, job: Job, record: Record
) -> Summary:
    one_thread_an_image()
    started = record.started
    terminal = Terminal()
    chosen = settings(config, choices)
    sweep = job.group
    origin = {
        "folder": str(folder),
        "sweep": job.launch,
        "started": started,
        "versions": versions(),
    }
    ready(chosen.logger)
    if job.beside_others and chosen.trainer.one_gpu_a_job:
        take_one(chosen.trainer.devices, job.number or 0)
    chosen.trainer.check()
    for line in _licences(chosen):
        terminal.warn(line)
    with plain_errors("store_dir", Path(chosen.run.store_dir)):
        for name in chosen.wanted:
            if name in chosen.stages:
                chosen.stages[name].fetch(terminal.say)
        store = Store(Path(chosen.run.store_dir).expanduser(), chosen.run.verify)
        with store.gate():  # whoever cleans the store waits, and then knows what this run uses
            plan = make(chosen, origin, store)
            remember(store, folder, started, chosen.dataset_dir, _used(plan))
    if chosen.logger.group is None:
        chosen.logger.group = sweep
    name = "+".join(scene.name for scene in plan.scenes)
    summary = Summary(
        name if job.number is None else f"{name}/{job.number}",
        folder,
        config,
        chosen.backends,
        versions(),
    )
    try:
        with plain_errors("dataset_dir", chosen.dataset_dir):
            _execute(plan, chosen, terminal, summary, origin)
    except Exception as error:
        summary.failure = _said(error)
        try:  # the page and the loggers say why; the first error is the one that counts
            _finish(plan, chosen, summary, started)
        except Exception as second:
            terminal.warn(f"no report: {second}")
        _close(record, plan, summary)
        raise
    with plain_errors("hydra.run.dir", folder):
        report = _finish(plan, chosen, summary, started)
        summary.objective = summary.named(chosen.run.objective)
        _close(record, plan, summary)
    terminal.close(summary, report)
    return summary


def _used(plan: Plan) -> dict[str, dict[str, str]]:
    """By scene and stage: the keys of results that this run makes or reads."""
    return {
        scene.name: {
            **{stage: result.key for stage, result in scene.results.items()},
            **made_in(plan.store, Path(scene.source.describe())),
        }
        for scene in plan.scenes
    }


def _close(record: Record, plan: Plan, summary: Summary) -> None:
    """Write down how the run ended, and what it uses."""
    record.end(
        summary.failure,
        store=str(plan.store.root),
        datasets=[str(folder) for folder in summary.datasets],
        scenes=described(plan),
        stages=[asdict(run) for run in summary.runs],
        peak_memory=summary.peak_memory,
        scores=summary.scores,
        consistency=summary.consistency,
        notes=summary.notes,
    )


def _licences(chosen: Settings) -> list[str]:
    """What a user must know before weights that are not free for every use are used."""
    terms = [chosen.stages[n].terms() for n in chosen.wanted if n in chosen.stages]
    closed = dict.fromkeys(t for t in terms if t is not None and not t.commercial)
    return [f"{t.hub}: licence {t.licence}, not for commercial use" for t in closed]


def _finish(plan: Plan, chosen: Settings, summary: Summary, started: float) -> Path | None:
    summary.seconds = time.time() - started
    summary.peak_memory = _peak_memory()
    report = _look(plan, chosen, summary)
    summary.seconds = time.time() - started  # what was drawn cannot show how long that took
    return report


def _execute(
    plan: Plan, chosen: Settings, terminal: Terminal, summary: Summary, origin: dict[str, Any]
) -> None:
    need = check_disk(plan, chosen.dataset_dir)
    terminal.plan(plan, chosen.backends, need)
    for name in plan.stages:
        batch = chosen.run.batch_size
        done = run_stage(plan, name, chosen.trainer, batch, terminal.watch, terminal.say)
        summary.runs.append(done)
        terminal.done(done)
        if name == "images":
            for scene in plan.scenes:
                settle_frames(scene)
    for scene in plan.scenes:
        with plan.store.folder_lock(chosen.dataset_dir / scene.name):
            folder = lay_out(chosen.dataset_dir, plan, scene, chosen.layout, origin)
        summary.datasets.append(folder)


def _look(plan: Plan, chosen: Settings, summary: Summary) -> Path | None:
    """Scores, media, page and loggers from whatever is whole in the store."""
    from dynprep.scores import consistency, score
    from dynprep.view.loggers import log
    from dynprep.view.media import make_media
    from dynprep.view.report import write_report

    for scene in plan.scenes:
        whole = _whole(plan, scene)
        if "images" not in whole:
            continue
        settle_frames(scene)
        frames = scene.frames
        summary.scenes[scene.name] = f"{len(frames)} frames of {frames.width}x{frames.height}"
        several = len(plan.scenes) > 1
        for note in _notes(scene, whole):
            told = f"{scene.name}: {note}" if several else note
            if told not in summary.notes:
                summary.notes.append(told)
        if summary.failure is None:
            shown = [n for n in whole if n not in HELPERS]
            given = scene.inputs()
            judged = [*shown, *(n for n in whole if n == "alignment_fit")]
            summary.scores[scene.name] = score(given, judged, scene.source.truth, plan.store)
            summary.consistency[scene.name] = consistency(given, judged, plan.store)
        media = make_media(
            scene.inputs(),
            whole,
            summary.folder / "media",
            chosen.logger.samples,
            chosen.logger.points,
            chosen.logger.rerun,
            plan.store,
        )
        summary.media.append(media)
        if "alignment_fit" in whole:
            summary.alignments[scene.name] = scene.results["alignment_fit"].json(REPORT)
    write_json(summary.folder / "scores.json", summary.scores)
    write_json(summary.folder / "consistency.json", summary.consistency)
    report = write_report(summary) if chosen.logger.report else None
    log(summary, chosen.logger)
    return report


def _notes(scene: ScenePlan, stages: list[str]) -> list[str]:
    """What the stages had to say when they ran, now or earlier."""
    items = (item for name in stages for item in scene.results[name].items().values())
    return [note for item in items for note in item.notes]


def _whole(plan: Plan, scene: ScenePlan) -> list[str]:
    """Stages that this run used whose result is whole, in order."""
    return [name for name in scene.results if plan.complete(name, scene)]


def _peak_memory() -> int:
    """Most resident memory of this process plus that of its largest child, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(w).ru_maxrss for w in who) * unit
