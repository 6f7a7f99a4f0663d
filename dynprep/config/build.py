"""The composed configuration as objects, every option checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dynprep.artefacts import Artefact
from dynprep.checks.options import CheckBounds
from dynprep.config.typed import TARGET, build, build_one, locate
from dynprep.errors import UserError, nearest
from dynprep.export.names import DatasetNames
from dynprep.options import AtLeastOne, Seed
from dynprep.pipeline.trainer import TrainerOptions
from dynprep.report.options import CompareOptions, LoggerOptions, ReportOptions
from dynprep.scene.data import Data
from dynprep.scene.resolution import Resolution
from dynprep.stages.base import Stage
from dynprep.stages.context import StageContext
from dynprep.stages.layout import LayoutStage
from dynprep.verdicts.options import VerdictBounds

_NODES = (
    *("resolution", "trainer", "camera", "compare", "store", "dataset", "data", "layout", "logger"),
    *("verdict", "check", "report"),
)

_LAYOUT = "layout"


@dataclass
class RunOptions:
    """Options at the top of ``conf/config.yaml``."""

    stages: list[str] | str
    dataset_dir: str
    store_dir: str
    seed: Seed
    batch_size: AtLeastOne | None
    objective: str | None
    packages: list[str]

    def __post_init__(self) -> None:
        for name in ("dataset_dir", "store_dir"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; name a folder")
        if self.stages == []:
            raise ValueError("stages is empty; name stages, or all")


@dataclass
class StoreOptions:
    """The node ``store``."""

    verify: bool


@dataclass
class DatasetOptions:
    """The node ``dataset``."""

    link: Literal["auto", "hard", "reflink", "symlink", "copy"]


@dataclass
class Settings:
    """All checked settings of one run.

    stages: by name, in the order of the configuration; wanted: names of those that the user asked for; choices: by
    stage, the choice that names its backend; groups: by stage, the node of the configuration that it is built from.
    """

    run: RunOptions
    store: StoreOptions
    dataset: DatasetOptions
    data: Data
    resolution: Resolution
    stages: dict[str, Stage]
    wanted: list[str]
    names: DatasetNames
    trainer: TrainerOptions
    logger: LoggerOptions
    report: ReportOptions
    verdict: VerdictBounds
    check: CheckBounds
    choices: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    @property
    def dataset_dir(self) -> Path:
        """The folder that receives one folder a scene; of an address, the one that it is sent from."""
        return Path(self.run.dataset_dir).expanduser()

    @property
    def layouts(self) -> list[LayoutStage]:
        """The layouts that are written beside the dataset."""
        return [stage for stage in self.stages.values() if isinstance(stage, LayoutStage)]

    @property
    def wanted_stages(self) -> list[Stage]:
        """The stages that the user asked for."""
        return [self.stages[name] for name in self.wanted if name in self.stages]

    def with_what_it_reads(self, stage: str) -> list[str]:
        """A stage, and those that it reads, directly or not, and that a user would have to ask for."""
        names: list[str] = []
        waiting = [stage]
        while waiting:
            name = waiting.pop()
            if name not in names:
                names.append(name)
                waiting += [artefact.name for artefact in self.stages[name].reads()]
        return [name for name in names if not self.stages[name].is_helper]

    def ignored_options(self, overrides: Sequence[str]) -> list[str]:
        """What to say of options that the user gave and that cannot act; given: their dotted names."""
        return [
            f"{self.groups[stage.name]}.{option} has no effect: {reason}"
            for stage in self.stages.values()
            for option, reason in stage.ignored().items()
            if f"{self.groups[stage.name]}.{option}" in overrides and not stage.is_helper
        ]


def compare_options(node: Mapping[str, Any]) -> CompareOptions:
    """The node ``compare``, checked."""
    return build_one(CompareOptions, node, "compare")


def dataset_names(node: Mapping[str, Any]) -> DatasetNames:
    """The names of a dataset's folders that the node ``layout`` gives; what it says of layouts is left out."""
    own = {k: v for k, v in node.items() if not isinstance(v, Mapping)}
    return build_one(DatasetNames, {k: v for k, v in own.items() if k != TARGET}, _LAYOUT)


def stage_nodes(
    config: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Dotted path and content of every node whose class is a stage, in the order of the configuration."""
    for name, node in config.items():
        if not isinstance(node, Mapping):
            continue
        path = f"{above}.{name}" if above else str(name)
        if TARGET not in node:
            yield from stage_nodes(node, path)
        elif not isinstance(node[TARGET], str):
            raise UserError(f"{path}.{TARGET}={node[TARGET]}: the dotted path of a class is meant")
        elif issubclass(locate(node[TARGET], path), Stage):
            yield path, node
        elif (
            name == _LAYOUT
        ):  # names of the dataset's folders, and in nodes of their own the layouts beside it
            yield from stage_nodes({k: v for k, v in node.items() if k != TARGET}, path)


def settings(config: Mapping[str, Any], choices: Mapping[str, str]) -> Settings:
    """Build and check everything.

    config: the composed configuration as plain values; choices: the choice of each group, for display. Raises
    UserError for the first fault.
    """
    for name in _NODES:
        if name in config and not isinstance(config[name], Mapping):
            folder = f"{name}_dir" in RunOptions.__dataclass_fields__
            raise UserError(
                f"{name}=…: {name} is a group of options and takes no value; set one of them, {name}.NAME=…"
                + (f", or the folder, {name}_dir=…" if folder else "")
            )
        if name not in config:
            raise UserError(
                f"{name}: the configuration has no such node; it is not one of this version"
            )
    top = {k: v for k, v in config.items() if k in RunOptions.__dataclass_fields__}
    run = build_one(RunOptions, top, "")
    resolution = build(config["resolution"], "resolution")
    trainer = build(config["trainer"], "trainer")
    compare_options(config["compare"])
    shared = config["camera"].get("shared") is True
    context = StageContext(resolution, trainer.inference(), shared, _skies(config))
    stages: dict[str, Stage] = {}
    groups: dict[str, str] = {}
    for path, node in stage_nodes(config):
        stage = build(node, path, context)
        for each in (*stage.helpers(), stage):
            stages[each.name] = each
            groups[each.name] = path
    names = {
        name: str(choices[groups[name]]) if groups[name] in choices and not stage.is_helper
        else stage.backend_id
        for name, stage in stages.items()
    }  # fmt: skip
    return Settings(
        run,
        build_one(StoreOptions, config["store"], "store"),
        build_one(DatasetOptions, config["dataset"], "dataset"),
        build(config["data"], "data"),
        resolution,
        stages,
        _wanted(run.stages, stages, groups),
        dataset_names(config[_LAYOUT]),
        trainer,
        build(config["logger"], "logger"),
        build_one(ReportOptions, config["report"], "report"),
        build(config["verdict"], "verdict"),
        build(config["check"], "check"),
        names,
        groups,
    )


def _skies(config: Mapping[str, Any]) -> tuple[type[Artefact], ...]:
    """The results that say where there is sky."""
    kinds = (locate(node[TARGET], path) for path, node in stage_nodes(config))
    return tuple(kind.makes for kind in kinds if issubclass(kind, Stage) and kind.tells_sky)


def _wanted(
    asked: list[str] | str, stages: Mapping[str, Stage], groups: Mapping[str, str]
) -> list[str]:
    """Names of the stages that the user asked for: layouts are, once they are chosen.

    Raises UserError for one that does not exist.
    """
    users = [name for name, stage in stages.items() if not stage.is_helper]
    names = [asked] if isinstance(asked, str) else list(asked)
    if names == ["all"]:
        return users
    layouts = [name for name, stage in stages.items() if isinstance(stage, LayoutStage)]
    for name in names:
        if name not in users and name != "images":
            by_group = [
                stage for stage, group in groups.items() if group == name and stage in users
            ]
            hint = (
                f"the stage of group {name} is {by_group[0]}" if by_group else nearest(name, users)
            )
            raise UserError(f"stages: there is no stage '{name}'; {hint}")
    return list(dict.fromkeys([*names, *layouts]))
