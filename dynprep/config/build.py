"""The composed configuration as objects, every option checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynprep.config.typed import build, build_one, fits, spoken
from dynprep.errors import UserError, nearest
from dynprep.pipeline.plan import HELPERS, AnyStage
from dynprep.pipeline.trainer import TrainerOptions
from dynprep.scene.data import Data
from dynprep.stages.images import Resolution
from dynprep.view.layout import Layout
from dynprep.view.options import LoggerOptions

# nodes of the configuration that describe stages, in the order in which they are shown
STAGE_NODES = (
    "images",
    "motion.frame_flow",
    "motion.odometry",
    "motion.structure",
    "masks",
    "metric_depth",
    "depth",
    "alignment",
    "prior",
    "flow",
    "points",
)


@dataclass
class RunOptions:
    """Options at the top of ``conf/config.yaml``."""

    stages: list[str] | str
    dataset_dir: str
    store_dir: str
    seed: int
    batch_size: int | None
    objective: str | None
    verify: bool

    def __post_init__(self) -> None:
        for name in ("dataset_dir", "store_dir"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; name a folder")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be 1 or more, or null")


@dataclass(frozen=True)
class CompareOptions:
    """What a comparison shows: frames at most, pixels across a picture."""

    page: bool
    frames: int
    width: int

    def __post_init__(self) -> None:
        for name, least in (("frames", 1), ("width", 32)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")


def compare_options(node: Mapping[str, Any]) -> CompareOptions:
    """The node ``compare``, checked."""
    return build_one(CompareOptions, node, "compare")


@dataclass
class Settings:
    """Everything a run is told."""

    run: RunOptions
    data: Data
    resolution: Resolution
    stages: dict[str, AnyStage]
    wanted: list[str]
    layout: Layout
    trainer: TrainerOptions
    logger: LoggerOptions
    backends: dict[str, str]

    @property
    def dataset_dir(self) -> Path:
        return Path(self.run.dataset_dir).expanduser()


def _node(config: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    node: Any = config
    for part in path.split("."):
        node = node[part]
    return node


def _run_options(config: Mapping[str, Any]) -> RunOptions:
    kinds = {
        "stages": list[str] | str,
        "dataset_dir": str,
        "store_dir": str,
        "seed": int,
        "batch_size": int | None,
        "objective": str | None,
    }
    for name, kind in kinds.items():
        if not fits(config[name], kind):
            raise UserError(f"{name}={config[name]}: {spoken(kind)} is meant")
    if not fits(config["store"]["verify"], bool):
        raise UserError(f"store.verify={config['store']['verify']}: true or false is meant")
    try:
        return RunOptions(**{n: config[n] for n in kinds}, verify=config["store"]["verify"])
    except ValueError as error:
        raise UserError(str(error)) from None


def settings(config: Mapping[str, Any], choices: Mapping[str, str]) -> Settings:
    """Build and check everything. ``config``: the composed configuration as plain values;
    ``choices``: which option of each group was chosen, for display.

    Raises UserError for the first fault.
    """
    run = _run_options(config)
    (data,) = build(config["data"], "data")
    (resolution,) = build(config["resolution"], "resolution")
    (layout,) = build(config["layout"], "layout")
    (trainer,) = build(config["trainer"], "trainer")
    (logger,) = build(config["logger"], "logger")
    compare_options(config["compare"])
    (camera,) = build(config["camera"], "camera")
    given = {
        "resolution": resolution,
        "running": trainer.running(),
        "shared": camera.shared,
    }
    stages: dict[str, AnyStage] = {camera.name: camera}
    for path in STAGE_NODES:
        for stage in build(_node(config, path), path, **given):
            stages[stage.name] = stage
    users = [name for name in stages if name not in HELPERS]
    wanted = run.stages
    if isinstance(wanted, str):
        wanted = users if wanted == "all" else [wanted]
    for name in wanted:
        if name not in users and name != "images":
            raise UserError(f"stages: there is no stage '{name}'; {nearest(name, users)}")
    backends = {str(g): str(choices[g]) for g in config if choices.get(g, "None") != "None"}
    return Settings(run, data, resolution, stages, list(wanted), layout, trainer, logger, backends)
