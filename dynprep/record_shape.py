"""What a run's record, run.json, must hold to be read: it may come from anybody."""

from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from dynprep.errors import UserError
from dynprep.foreign import Malformed, read_json
from dynprep.run_file import DONE, RUN_FILE

FORMAT = 2


class ResultShape(TypedDict):
    """What a record says of one result."""

    wanted: bool
    helper: bool
    choice: str
    group: str
    key: str
    backend: str
    weights: str | None
    inputs: dict[str, str]
    seconds: float | None
    memory: int | None
    device_memory: int | None
    device: str | None
    files: int
    bytes: int
    sha256: str


class SceneShape(TypedDict):
    """What a record says of one scene."""

    source: dict[str, Any]
    truth: str | None
    results: dict[str, ResultShape]


class EnvironmentShape(TypedDict):
    """What a record says of the machine."""

    python: str
    packages: dict[str, str]
    hardware: dict[str, Any]
    code: dict[str, Any]


class RecordShape(TypedDict):
    """``run.json``; what is not required is there once the run is done."""

    format: int
    status: Literal["running", "done", "failed", "stopped"]
    failure: str | None
    started: float
    seconds: float | None
    overrides: list[str]
    choices: dict[str, str]
    config: dict[str, Any]
    folder: str
    environment: EnvironmentShape
    store: NotRequired[str]
    datasets: NotRequired[list[str]]
    scenes: NotRequired[dict[str, SceneShape]]
    scores: NotRequired[dict[str, dict[str, float]]]
    consistency: NotRequired[dict[str, dict[str, float]]]
    verdicts: NotRequired[dict[str, list[str]]]
    failed: NotRequired[dict[str, str]]
    sizes: NotRequired[dict[str, str]]


def read_record(folder: Path) -> RecordShape:
    """The record of the run in ``folder``. Raises UserError where there is none, or it is not as it should be."""
    path = folder / RUN_FILE if folder.is_dir() else folder
    try:
        version: Any = read_json(path, dict[str, Any])
        if version.get("format") != FORMAT:
            raise UserError(f"{path}: not a record that this version can read")
        record: RecordShape = read_json(path, RecordShape)
    except OSError as error:
        raise UserError(
            f"{path}: no record of a run ({error.strerror}); name a run's folder, such as outputs/runs/DATE/TIME"
        ) from None
    except Malformed as error:
        raise UserError(f"{error}; this is no record of a run") from None
    if record["status"] == DONE:
        missing = [k for k in ("store", "scenes", "scores", "consistency") if k not in record]
        if missing or record["seconds"] is None:
            raise UserError(
                f"{path}: lacks {', '.join(missing or ['seconds'])}, which a finished run has"
            )
    return record
