"""Read the file of a W&B run that was logged offline, without a network or W&B's service.

    python -m tests.read_wandb wandb/offline-run-*/run-*.wandb

The file is framed like LevelDB's log: blocks of 32 KiB that hold records or parts of records. Each record
is a protobuf message.
"""

import json
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_FILE_HEADER = struct.Struct("<4sHB")  # identity, magic number, version
_CHUNK_HEADER = struct.Struct("<IHB")  # checksum, length, kind
_BLOCK = 32768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[bytes]:
    """Yield every complete record of the file."""
    data = path.read_bytes()
    identity, *_ = _FILE_HEADER.unpack_from(data)
    if identity != b":W&B":
        raise ValueError(f"{path}: not a file of W&B")
    position, parts = _FILE_HEADER.size, b""
    while position + _CHUNK_HEADER.size <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _CHUNK_HEADER.size:  # the end of a block is too small for another chunk
            position += left
            continue
        _, length, kind = _CHUNK_HEADER.unpack_from(data, position)
        if kind == 0 and length == 0:  # the rest of the block is empty
            position += left
            continue
        start = position + _CHUNK_HEADER.size
        position = start + length
        if position > len(data):  # still being written
            return
        chunk = data[start:position]
        parts = chunk if kind in (_FULL, _FIRST) else parts + chunk
        if kind in (_FULL, _LAST):
            yield parts


def parse(path: Path) -> dict[str, Any]:
    """Return the run's history, summary, configuration, files, artifacts and exit status.

    ``types`` counts the records by kind, and ``run`` holds the project, name, group and tags. ``exit``
    is None as long as the run has not ended.
    """
    content: dict[str, Any] = {
        "history": [], "summary": {}, "config": {}, "files": [], "artifacts": [], "types": {},
        "run": None, "exit": None,
    }  # fmt: skip
    for raw in records(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(raw)
        kind = record.WhichOneof("record_type")
        content["types"][kind] = content["types"].get(kind, 0) + 1
        _add(content, kind, record)
    return content


def _add(content: dict[str, Any], kind: str, record: Any) -> None:
    """Write what one record says into ``content``."""
    if kind == "history":
        content["history"].append(_values(record.history.item))
    elif kind == "summary":
        content["summary"] |= _values(record.summary.update)
    elif kind == "config":
        content["config"] |= _values(record.config.update)
    elif kind == "run":
        run = record.run
        content["config"] |= _values(run.config.update)
        content["run"] = (run.project, run.display_name, run.run_group, list(run.tags))
    elif kind == "files":
        content["files"] += [file.path for file in record.files.files]
    elif kind == "artifact":
        content["artifacts"].append((record.artifact.type, record.artifact.name))
    elif kind == "exit":
        content["exit"] = record.exit.exit_code


def _values(items: Iterable[Any]) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(parse(Path(argument)), indent=1))
