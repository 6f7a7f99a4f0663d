"""The steps of a run, in the order in which ``app.run`` takes them."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

from dynprep import preload
from dynprep.artefacts.alignment import AlignmentFits
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.config.build import Settings, settings
from dynprep.dataset import DatasetScene
from dynprep.errors import UserError
from dynprep.evenly import evenly
from dynprep.export.claims import Claims
from dynprep.export.dataset import VERDICT, DatasetWriter
from dynprep.export.layouts import LayoutWriter
from dynprep.export.validate import faults
from dynprep.files import write_json
from dynprep.latest import point_to_latest
from dynprep.links import resolve_link
from dynprep.pipeline.devices import claim_gpu, why_no_gpu
from dynprep.pipeline.execute import (
    StageRun,
    check_disk,
    load_frame_table,
    run_stage,
    versions,
)
from dynprep.pipeline.faults import plain_errors
from dynprep.pipeline.plan import Plan, ScenePlan, choose_stages, make_plan
from dynprep.pipeline.trainer import one_thread_an_image
from dynprep.record import describe_scenes
from dynprep.remote.address import RemotePath, is_remote
from dynprep.remote.push import check_writable, push_scene
from dynprep.report.loggers import logger_of
from dynprep.report.options import check_logger
from dynprep.report.scene_progress import sizes_of
from dynprep.report.summary import Summary
from dynprep.run_state import RunState
from dynprep.scene.frames import Frames
from dynprep.scene.resolution import expected_frames
from dynprep.scene.shots import describe_shots, split_at_cuts
from dynprep.scene.source import Source
from dynprep.scene.truth import Truth
from dynprep.scene_logs import link_logs
from dynprep.stages.layout import LayoutStage
from dynprep.store import Store
from dynprep.store.references import made_in, remember
from dynprep.verdicts.early import EarlyVerdict
from dynprep.verdicts.finding import Verdict
from dynprep.verdicts.judge import JUDGED
from dynprep.verdicts.judge import judge as judge_scene
from dynprep.watch import Advance

_UNSENT = "dataset"  # folder of the run that a dataset lies in before it is sent elsewhere
_NAMED = 3  # scenes that a remark names
_TAGGED = ("data", "resolution", "experiment")  # groups of no stage that tags name too


def resolve(run: RunState) -> None:
    """Check every option, the logger, the devices, the licences and the weights; compute nothing."""
    one_thread_an_image()
    run.settings = chosen = settings(run.config, run.choices)
    check_logger(chosen.logger)
    if is_remote(chosen.run.dataset_dir):
        run.sent_to = RemotePath(chosen.run.dataset_dir)
        check_writable(run.sent_to)
        chosen.run.dataset_dir = str(run.folder / _UNSENT)
    if run.job.in_parallel and chosen.trainer.one_gpu_a_job:
        claim_gpu(chosen.trainer.devices, run.job.number or 0)
    chosen.trainer.check()
    overridden = [override.partition("=")[0].lstrip("+~") for override in run.job.overrides]
    for line in (*_licences(chosen), *chosen.ignored_options(overridden), *_no_gpu(chosen)):
        run.terminal.warn(line)
    if chosen.logger.kind == "wandb":
        preload.begin("wandb")
    if chosen.logger.group is None:
        chosen.logger.group = run.job.group
    for stage in chosen.wanted_stages:
        stage.check_stages(chosen.stages)
    with plain_errors("store_dir", Path(chosen.run.store_dir)):
        for stage in chosen.wanted_stages:
            stage.fetch(run.terminal.say)


def _licences(chosen: Settings) -> list[str]:
    """What a user must know before weights that are not free for every use are used."""
    terms = [stage.terms() for stage in chosen.wanted_stages]
    closed = dict.fromkeys(t for t in terms if t is not None and not t.commercial)
    return [f"{t.hub}: licence {t.licence}, not for commercial use" for t in closed]


def _no_gpu(chosen: Settings) -> list[str]:
    """Why networks run on the CPU although nobody asked for it."""
    is_left_open = chosen.trainer.accelerator == "auto"
    if not is_left_open or not any(stage.uses_device for stage in chosen.wanted_stages):
        return []
    why = why_no_gpu()
    return [] if why is None else [why]


def plan(run: RunState) -> None:
    """Look at the sources and the store, and decide what is computed; note in the store what the run uses."""
    chosen = run.settings
    link = resolve_link(chosen.dataset.link)
    run.writer = DatasetWriter(chosen.dataset_dir, chosen.names, link, run.origin(), _claims(run))
    run.layout_writer = LayoutWriter(chosen.dataset_dir, link, run.origin())
    with plain_errors("store_dir", Path(chosen.run.store_dir)):
        store_dir = Path(chosen.run.store_dir).expanduser()
        run.store = Store(store_dir, chosen.store.verify, say=run.terminal.say)
        if (
            stored := chosen.data.stored()
        ):  # whoever cleans the store must not take it away meanwhile
            with run.store.gate():
                _remember(run, stored)
        scenes = _look_at_scenes(run)
        with run.store.gate():  # whoever cleans the store waits, and then knows what this run uses
            run.plan = make_plan(chosen.stages, chosen.wanted, scenes, run.store)
            used = {
                scene.name: {
                    **{stage: result.key for stage, result in scene.results.items()},
                    **made_in(run.store, scene.source.stored_at),
                }
                for scene in run.plan.scenes
            }
            for layout in chosen.layouts:  # their folders are datasets too, whose results must stay
                used |= {f"{layout.folder}/{name}": dict(used[name]) for name in _names(run.plan)}
            _remember(run, used)
        choose_stages(run.plan, JUDGED)
        _check_plan(run)
    with plain_errors("dataset_dir", chosen.dataset_dir):
        run.need = check_disk(run.plan, chosen.dataset_dir, run.writer.link)
    _begin(run)


def _claims(run: RunState) -> Claims | None:
    sweep, launch = run.job.sweep, run.job.launch
    return None if sweep is None or launch is None else Claims(sweep, launch, str(run.folder))


def _begin(run: RunState) -> None:
    """Nothing is refused any more: the logger is told, and ``latest`` points here."""
    chosen = run.settings
    name = _name_of(run)
    name = name if run.job.number is None else f"{name}/{run.job.number}"
    summary = Summary(
        name, run.folder, run.job.command, dict(run.config), chosen.choices, versions()
    )
    preload.wait()  # stages fork readers
    summary.failed = run.failures.reasons
    logger = logger_of(chosen.logger, run.job)
    logger.begin(summary, _tags(run))
    run.logger, run.summary = logger, summary
    if run.job.sweep is None:
        point_to_latest(run.folder)
    elif run.job.in_parallel:
        link_logs(run.job.sweep, run.folder, _names(run.plan))


def _name_of(run: RunState) -> str:
    """What the page and W&B call the run: its scenes, of many how many, and which part of all."""
    names = _names(run.plan)
    if len(names) <= _NAMED:
        return "+".join(names)
    part = f", part {shard}" if (shard := run.settings.data.shard) is not None else ""
    return f"{len(names)} scenes{part}"


def _tags(run: RunState) -> list[str]:
    """The choices that decide what comes out, such as ``masks=motion``."""
    stages = (stage for stage in run.settings.stages.values() if not stage.is_helper)
    groups = dict.fromkeys([*_TAGGED, *(run.settings.groups[stage.name] for stage in stages)])
    return [
        f"{group}={run.choices[group]}"
        for group in groups
        if run.choices.get(group, "null") != "null"
    ]


def _names(plan: Plan) -> list[str]:
    return [scene.name for scene in plan.scenes]


def _remember(run: RunState, used: Mapping[str, Mapping[str, str]]) -> None:
    """Note in the store which results, by scene and stage as keys, this run uses."""
    remember(run.store, run.folder, run.record.started, run.settings.dataset_dir, used)


def _look_at_scenes(run: RunState) -> list[tuple[Source, Frames]]:
    """The sources, probed and hashed, with the frames that their headers promise.

    Raises UserError for what cannot work. It may take long, so nothing of the store is locked meanwhile.
    """
    chosen, scenes = run.settings, list[tuple[Source, Frames]]()
    checked = [*chosen.wanted, Intrinsics.name]
    stages = [stage for name, stage in chosen.stages.items() if name in checked]
    for whole in chosen.data.sources(run.store):
        with _may_fail(run, whole):
            for source in _shots(run, whole.prepared()):
                for remark in source.remarks():
                    run.terminal.warn(remark)
                frames = expected_frames(source.probe(), chosen.resolution)
                source.identity()
                if source.truth is not None:
                    Truth(source.truth).check()
                for stage in stages:
                    stage.check(source)
                scenes.append((source, frames))
    if not scenes:
        raise run.failures.error(0)
    return scenes


@contextmanager
def _may_fail(run: RunState, source: Source) -> Iterator[None]:
    """Leaves a scene out where the block finds a fault in it, and others are to go on."""
    skip = run.settings.data.on_scene_error == "skip"
    known = len(run.failures.reasons)
    with run.failures.of(source.name, source.describe(), skip):
        yield
    if len(run.failures.reasons) > known:
        run.terminal.warn(f"{source.name}: {run.failures.reasons[source.name]}; it is left out")


def _shots(run: RunState, source: Source) -> list[Source]:
    """The source, or with ``data.split=cuts`` its shots."""
    bounds = run.settings.verdict
    if run.settings.data.split is None:
        return [source]
    if bounds.cut is None:
        raise UserError("data.split=cuts needs verdict.cut, the bound above which there is a cut")
    shots = split_at_cuts(source, bounds.cut, bounds.cut_likeness, run.store)
    if len(shots) > 1:
        run.terminal.say(f"{source.name}: {describe_shots(shots)}")
    return list(shots)


def _check_plan(run: RunState) -> None:
    """Raise UserError for a dataset that cannot be written, and for weights that do not fit."""
    run.writer.check(run.plan)
    run.layout_writer.check(run.settings.layouts, _names(run.plan), run.store)
    for name, stage in run.plan.stages.items():
        if any(not run.plan.is_complete(name, scene) for scene in run.plan.scenes):
            for remark in stage.inspect():
                run.terminal.warn(remark)


def execute(run: RunState) -> None:
    """Compute what the store lacks, stage by stage over all scenes."""
    chosen, run_plan = run.settings, run.plan
    with plain_errors("dataset_dir", chosen.dataset_dir):
        run.terminal.plan(run_plan, chosen.choices, run.need)
        run.terminal.follow_scenes(run_plan)
        early = {scene.name: EarlyVerdict(chosen.verdict, run.store) for scene in run_plan.scenes}
        layouts = {layout.name for layout in chosen.layouts}
        for name in run_plan.stages:
            if name in layouts:
                continue  # when the dataset is written
            done = _run_stage(run, name)
            _leave_out(run, done.failed)
            if name == Images.name:
                for scene in run_plan.scenes:
                    load_frame_table(scene)
            _log_stage(run, done)
            if done.made:
                _judge_what_is_ready(run, early, name)


def _leave_out(run: RunState, failed: Mapping[str, str]) -> None:
    """Go on without the scenes that failed. Raises UserError where none is left."""
    for scene in run.plan.scenes:
        if (reason := failed.get(scene.name)) is not None:
            run.failures.add(scene.name, scene.source.describe(), reason)
            run.terminal.warn(f"{scene.name}: {reason}; it is left out")
    _go_on(run)


def _go_on(run: RunState) -> None:
    run.plan.scenes = [s for s in run.plan.scenes if s.name not in run.failures.reasons]
    if not run.plan.scenes:
        raise run.failures.error(0)


def _run_stage(run: RunState, name: str) -> StageRun:
    """Make what the store lacks of one stage, and say how it went."""
    options, terminal, logger = run.settings, run.terminal, run.open_logger
    notes = run.failures.new_notes(name) if options.data.on_scene_error == "skip" else None

    def watch(stage: str, total: int) -> AbstractContextManager[Advance]:
        return logger.stage(terminal.watch, stage, total)

    if (progress := terminal.progress) is not None:
        progress.failed = len(run.failures.reasons)
        progress.begin(name, sizes_of(run.plan, name))
    trainer, batch_size = options.trainer, options.run.batch_size
    logger.progress = progress
    done = run_stage(run.plan, name, trainer, batch_size, watch, terminal.say, notes)
    if notes is not None:
        notes.file.unlink(missing_ok=True)
    run.outcome.runs.append(done)
    if progress is not None:
        progress.end()
    terminal.done(done)
    return done


def _log_stage(run: RunState, done: StageRun) -> None:
    """Tell the logger how a stage went, with its pictures."""
    from dynprep.report.media import MediaMaker

    media = []
    if run.open_logger.wants_pictures:
        for scene in _pictured(run):
            complete = scene.read().only(run.plan.complete_stages(scene))
            maker = MediaMaker(complete, run.folder / "media", run.store)
            media.append(maker.draw([done.name], run.settings.logger))
    run.open_logger.stage_done(done, media)


def _pictured(run: RunState) -> list[ScenePlan]:
    """The scenes whose pictures and videos are written."""
    return evenly(run.plan.scenes, run.settings.logger.scenes)


def _judge_what_is_ready(run: RunState, early: Mapping[str, EarlyVerdict], stage: str) -> None:
    """Say at once what is not good, so that nobody waits for what is made of it."""
    stages = list(run.plan.stages)
    awaited = stages[stages.index(stage) + 1 :]
    for scene in run.plan.scenes:
        complete = run.plan.complete_stages(scene)
        for line in early[scene.name].after(scene.read(), complete, awaited):
            run.terminal.warn(line if len(run.plan.scenes) == 1 else f"{scene.name}: {line}")


def judge(run: RunState) -> None:
    """Say of every scene what is not good, as far as that can be seen without truth."""
    bounds = run.settings.verdict
    for scene in run.plan.scenes:
        complete = run.plan.complete_stages(scene)
        follow = run.terminal.follow
        verdict = judge_scene(scene.read(), complete, bounds, run.store, watch=follow)
        run.outcome.verdicts[scene.name] = verdict
    every = {name: verdict.as_json() for name, verdict in run.outcome.verdicts.items()}
    write_json(run.folder / VERDICT, every)


def export(run: RunState) -> None:
    """Write the dataset folder of every scene, then make and write the layouts; one that fails stops no other."""
    root = run.settings.dataset_dir
    with plain_errors("dataset_dir", root):
        with run.terminal.follow("dataset", len(run.plan.scenes)) as advance:
            for scene in run.plan.scenes:
                with _may_fail(run, scene.source):
                    with run.store.folder_lock(run.writer.folder(scene)).hold():
                        verdict = run.outcome.verdicts[scene.name].as_json()
                        run.writer.write(run.plan, scene, verdict)
                    run.outcome.datasets.append(root / scene.name)
                advance(1)
        _go_on(run)
        failed: UserError | None = None
        for layout in run.settings.layouts:
            try:
                _write_layout(run, layout)
            except UserError as error:
                failed = failed or error
        if failed is not None:
            raise failed


def _write_layout(run: RunState, layout: LayoutStage) -> None:
    """Make what the store lacks of a layout, and write its folders."""
    if layout.name in run.plan.stages:
        _run_stage(run, layout.name)
    for scene in run.plan.scenes:
        with run.store.folder_lock(run.layout_writer.folder(layout, scene.name)).hold():
            folder, remark = run.layout_writer.write(layout, scene.read())
        run.outcome.layouts.setdefault(layout.name, []).append(folder)
        if remark is not None:
            run.terminal.warn(remark)


def send(run: RunState) -> None:
    """Send the datasets and layouts elsewhere where ``dataset_dir`` is an address, if they are as the format says."""
    if run.sent_to is None:
        return
    root = run.settings.dataset_dir
    folders = [*run.outcome.datasets, *(f for group in run.outcome.layouts.values() for f in group)]
    with run.terminal.follow("send", len(folders)) as advance:
        for folder in folders:
            scene = DatasetScene(folder) if folder in run.outcome.datasets else None
            fault = next(faults(scene), None) if scene is not None else None
            if fault is not None:
                raise UserError(f"{folder}: is not sent to {run.sent_to}: {fault}")
            push_scene(folder, run.sent_to / folder.relative_to(root).as_posix())
            advance(1)
    run.terminal.say(f"{len(folders)} folders sent to {run.sent_to}")


def evaluate(run: RunState) -> None:
    """Gather what stages had to say, and score what is complete; after a failure nothing is scored."""
    from dynprep.scores import consistency, score

    summary, run_plan = run.outcome, run.plan
    noted: dict[str, list[str]] = {}
    for scene in run_plan.scenes:
        complete = run_plan.complete_stages(scene)
        if Images.name not in complete:
            continue
        load_frame_table(scene)
        frames = scene.frames
        summary.scenes[scene.name] = f"{len(frames)} frames of {frames.width}x{frames.height}"
        for note in dict.fromkeys(_notes(scene, complete)):
            noted.setdefault(note, []).append(scene.name)
        if AlignmentFits.name in complete:
            summary.alignments[scene.name] = dict(scene.read()[AlignmentFits].report)
        if summary.failure is None:
            results = scene.read()
            follow, truth = run.terminal.follow, scene.source.truth
            summary.scores[scene.name] = score(results, complete, truth, run.store, follow)
            summary.consistency[scene.name] = consistency(results, complete, run.store, follow)
    several = len(run_plan.scenes) > 1
    summary.notes = [f"{some(names)}: {note}" if several else note for note, names in noted.items()]
    write_json(run.folder / "scores.json", summary.scores)
    write_json(run.folder / "consistency.json", summary.consistency)
    if summary.failure is None:
        summary.objective = summary.named(run.settings.run.objective)


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _notes(scene: ScenePlan, stages: list[str]) -> list[str]:
    """What the stages had to say when they ran, now or earlier."""
    items = (item for name in stages for item in scene.results[name].items().values())
    return [note for item in items for note in item.notes]


def report(run: RunState) -> None:
    """Draw what is complete, write the page, tell the loggers, close the terminal's account."""
    from dynprep.report.media import MediaMaker
    from dynprep.report.page import ReportWriter
    from dynprep.report.scene_page import scene_view

    summary, options = run.outcome, run.settings.logger
    with plain_errors("hydra.run.dir", run.folder):
        writer = ReportWriter(summary, several=len(run.plan.scenes) > 1)
        pictured = {scene.name for scene in _pictured(run)}
        for scene in run.plan.scenes:
            complete = run.plan.complete_stages(scene)
            if Images.name not in complete:
                continue
            results = scene.read().only(complete)
            follow = run.terminal.follow
            if scene.name in pictured:
                maker = MediaMaker(results, run.folder / "media", run.store, follow)
                summary.media.append(maker.make(complete, options))
            if run.settings.report.page:
                verdict = summary.verdicts.get(scene.name, Verdict())
                view = scene_view(
                    results, complete, verdict, run.store, run.settings.report, follow
                )
                writer.add(scene.name, view)
        summary.seconds = time.time() - run.record.started
        summary.peak_memory = _peak_memory()
        page = writer.end() if run.settings.report.page else None
        with run.terminal.follow(options.kind, 1):
            run.open_logger.end(summary)
        # once more, since the page cannot show how long it took itself
        summary.seconds = time.time() - run.record.started
        if summary.failure is None:
            run.terminal.close(summary, page, run.open_logger.closing)


def record(run: RunState) -> None:
    """Write down how the run ended, and what it uses."""
    summary = run.outcome
    run.record.end(
        summary.failure,
        store=str(run.store.root),
        datasets=[str(folder) for folder in summary.datasets],
        scenes=describe_scenes(run.plan, run.settings.choices, run.settings.groups),
        stages=[asdict(stage_run) for stage_run in summary.runs],
        steps=run.seconds,
        peak_memory=summary.peak_memory,
        scores=summary.scores,
        consistency=summary.consistency,
        notes=summary.notes,
        verdicts={name: verdict.lines() for name, verdict in summary.verdicts.items()},
        failed=summary.failed,
        sizes=summary.scenes,
    )


def _peak_memory() -> int:
    """Most resident memory of this process plus that of its largest child, in bytes; 0 where it is unknown."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(w).ru_maxrss for w in who) * unit
