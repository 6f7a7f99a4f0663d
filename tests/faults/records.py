"""Records of runs, datasets and stores that come from elsewhere, given to the commands that read them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.faults.case import Case
from tests.faults.mutations import json_bytes, spoil_bytes, spoil_json
from tests.faults.whole import as_json, command, small_run

_COMMANDS = (
    ("compare", "run", "run"),
    ("compare", "run", "dataset/demo", "--out", "compared"),
    ("reproduce", "run"),
    ("validate", "dataset/demo"),
    ("store", "--store", "store", "ls", "--users"),
    ("store", "--store", "store", "du"),
    ("store", "--store", "store", "gc", "--yes"),
    ("store", "--store", "store", "export", "run", "demo", "other"),
    ("store", "--store", "store", "export", "dataset", "demo", "other"),
)


def records(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """Spoil one JSON file of a finished run, and give the run to a command: it works, or says why in one line, and
    the user's own files stay as they are."""
    for number in range(count):
        folder = room / f"{number}"
        folder.mkdir()
        small_run(folder)
        own = folder / "own"
        own.mkdir()
        (own / "precious.txt").write_text("of the user's")
        arguments = rng.choice(_COMMANDS)
        files = sorted(
            p
            for p in folder.rglob("*.json")
            if "references" in p.parts
            or p.parent.name in ("run", "demo", "store")
            or rng.random() < 0.1
        )
        path = rng.choice(files)
        content = path.read_bytes()
        path.chmod(0o644)
        if rng.random() < 0.8:
            path.write_bytes(json_bytes(spoil_json(rng, as_json(path))))
        else:
            path.write_bytes(spoil_bytes(rng, content))
        end = command(folder, *arguments)
        fault = end.fault
        if (own / "precious.txt").read_text() != "of the user's":
            fault = "a file of the user's was changed"
        yield Case(f"{' '.join(arguments)}: {path.relative_to(folder)}, number {number}", fault)
        shutil.rmtree(folder)
