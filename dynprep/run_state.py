"""One run from its beginning to its end: its configuration, and what its steps have made so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynprep.config.build import Settings
from dynprep.export.dataset import DatasetWriter
from dynprep.export.layouts import LayoutWriter
from dynprep.failed_scenes import FailedScenes
from dynprep.job import Job
from dynprep.pipeline.execute import versions
from dynprep.pipeline.plan import Plan
from dynprep.record import Record
from dynprep.remote.address import RemotePath
from dynprep.report.run_logger import RunLogger
from dynprep.report.summary import Summary
from dynprep.report.terminal import Terminal
from dynprep.store import Store


@dataclass
class RunState:
    """What the steps of a run share; each fills what it is named for.

    config: the composed configuration as plain values; choices: the choice of each group; folder: receives the
    record, the page and the media; settings: by ``resolve``; store, writers, plan, need (bytes of disk), summary,
    logger: by ``plan``; seconds: that each step took, by its name; failures: scenes that are left out;
    sent_to: where the datasets go in the end, if that is elsewhere.
    """

    config: Mapping[str, Any]
    choices: Mapping[str, str]
    folder: Path
    job: Job
    record: Record
    terminal: Terminal
    settings: Settings = field(init=False)
    store: Store = field(init=False)
    logger: RunLogger | None = None
    writer: DatasetWriter = field(init=False)
    layout_writer: LayoutWriter = field(init=False)
    plan: Plan = field(init=False)
    need: int = 0
    summary: Summary | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    failures: FailedScenes = field(init=False)
    sent_to: RemotePath | None = None

    def __post_init__(self) -> None:
        self.failures = FailedScenes(self.folder)

    @property
    def outcome(self) -> Summary:
        """The summary, once there is a plan."""
        assert self.summary is not None
        return self.summary

    @property
    def open_logger(self) -> RunLogger:
        """The logger, once there is a plan."""
        assert self.logger is not None
        return self.logger

    def origin(self) -> dict[str, Any]:
        """What a dataset's provenance says of this run."""
        return {
            "folder": str(self.folder),
            "sweep": self.job.launch,
            "started": self.record.started,
            "versions": versions(),
        }
