"""One run: its steps in order, and what is recorded when one of them fails."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dynprep import steps
from dynprep.errors import NothingToDo, UserError
from dynprep.export.dataset import VERDICT
from dynprep.job import Job
from dynprep.pipeline.faults import plain_errors
from dynprep.record import Record
from dynprep.report.job_terminal import terminal_of
from dynprep.report.summary import Summary
from dynprep.run_file import FAILED, RUNNING, STOPPED
from dynprep.run_state import RunState

STEPS = (
    steps.resolve,
    steps.plan,
    steps.execute,
    steps.judge,
    steps.export,
    steps.send,
    steps.evaluate,
    steps.report,
    steps.record,
)


def run(
    config: Mapping[str, Any], choices: Mapping[str, str], folder: Path, job: Job | None = None
) -> Summary:
    """Do what the configuration says, and return what came of it.

    config: the composed configuration as plain values; choices: the choice of each group; folder: receives the
    record, the page and the media of this run; job: how it was asked for. Raises UserError for what the user can
    mend; the record and the loggers get the error first.
    """
    job = job or Job()
    with plain_errors("hydra.run.dir", folder):  # steps that write elsewhere say so themselves
        record = Record(folder, config, choices, job)
        state = RunState(config, choices, folder, job, record, terminal_of(job, folder))
        try:
            with _failure_recorded(state):
                for step in STEPS:
                    began = time.perf_counter()
                    step(state)
                    state.seconds[step.__name__] = time.perf_counter() - began
        except NothingToDo as error:
            if job.sweep is None:
                raise
            return _nothing_done(state, str(error))
    if state.failures.reasons:
        raise state.failures.error(len(state.plan.scenes))
    count = sum(len(verdict.findings) for verdict in state.outcome.verdicts.values())
    if state.settings.verdict.strict and count:
        raise UserError(
            f"verdict.strict=true: {count} findings, see {folder / VERDICT}; the dataset is written"
        )
    return state.outcome


def _nothing_done(state: RunState, why: str) -> Summary:
    """A job that has no scene is done: the others have them all."""
    state.terminal.say(f"{state.job.title}: nothing to do; {why}")
    nothing: dict[str, Any] = {"scenes": {}, "scores": {}, "consistency": {}, "datasets": []}
    state.record.end(None, store=str(state.store.root), **nothing)
    return Summary(
        state.job.title,
        state.folder,
        state.job.command,
        dict(state.config),
        dict(state.choices),
        {},
    )


@contextmanager
def _failure_recorded(state: RunState) -> Iterator[None]:
    """Tell the page, the loggers and the record why a run fails: the one place where that is done."""
    try:
        yield
    except BaseException as error:
        failure = str(error) or type(error).__name__
        # an exit: the launcher of a cluster takes the job back, and begins it again later
        if isinstance(error, KeyboardInterrupt | SystemExit):
            failure, status = STOPPED, STOPPED
        else:
            status = FAILED
        if state.summary is None or not isinstance(error, Exception):
            if state.record.values["status"] == RUNNING:
                state.record.end(failure, status, failed=state.failures.reasons)
            if state.logger is not None:
                state.logger.abandon(failure)
            raise
        state.summary.failure = failure
        for step in (steps.evaluate, steps.report) if not state.summary.media else ():
            try:  # the first error is the one that counts
                step(state)
            except Exception as second:
                state.terminal.warn(f"no report: {second}")
                break
        if state.logger is not None:
            state.logger.abandon(failure)
        steps.record(state)
        raise
