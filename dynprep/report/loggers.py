"""The logger that the options ask for."""

from dynprep.job import Job
from dynprep.report.csv_logger import CsvLogger
from dynprep.report.options import LoggerOptions
from dynprep.report.run_logger import RunLogger
from dynprep.report.wandb_logger import WandbLogger

_KINDS: dict[str, type[RunLogger]] = {"wandb": WandbLogger, "csv": CsvLogger, "none": RunLogger}


def logger_of(options: LoggerOptions, job: Job) -> RunLogger:
    """The logger of a run, which has not begun."""
    kind = "none" if options.mode == "disabled" and options.kind == "wandb" else options.kind
    return _KINDS[kind](options, job)
