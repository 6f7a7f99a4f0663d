"""One run: plan, execute, lay out, look."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynprep.config.build import Settings, settings
from dynprep.errors import UserError
from dynprep.pipeline.execute import StageRun, check_disk, run_stage, settle_frames, versions
from dynprep.pipeline.plan import Plan, make_plan
from dynprep.pipeline.trainer import one_thread_an_image
from dynprep.stages.images import expected
from dynprep.store import Store
from dynprep.view.dataset import check_dataset_dir, lay_out
from dynprep.view.terminal import Terminal


def make(chosen: Settings) -> Plan:
    """Look at the sources and the store; compute nothing. Raises UserError for what cannot work."""
    store = Store(Path(chosen.run.store_dir).expanduser())
    scenes = []
    for source in chosen.data.sources(store):
        probe = source.probe()
        scenes.append((source, expected(probe, chosen.resolution)))
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
    check_dataset_dir(chosen.dataset_dir, plan, chosen.layout)
    return plan


def run(config: Mapping[str, Any], choices: Mapping[str, str], folder: Path) -> None:
    """Do what the configuration says. ``folder`` receives the report and media of this run."""
    started = time.time()
    one_thread_an_image()
    terminal = Terminal()
    chosen = settings(config, choices)
    plan = make(chosen)
    need = check_disk(plan)
    terminal.plan(plan, chosen.backends, need)
    runs: list[StageRun] = []
    for name in plan.stages:
        done = run_stage(
            plan, name, chosen.trainer, chosen.run.batch_size, terminal.watch, terminal.say
        )
        runs.append(done)
        terminal.done(done)
        if name == "images":
            for scene in plan.scenes:
                settle_frames(scene)
    origin = {"folder": str(folder), "started": started, "versions": versions()}
    folders = [
        lay_out(chosen.dataset_dir, plan, scene, chosen.layout, origin) for scene in plan.scenes
    ]
    terminal.close(runs, chosen.backends, folders, {}, None)
