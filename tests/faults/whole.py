"""Whole runs and commands of the campaign, small, in this process or in one of their own."""

import contextlib
import io
import json
import logging
import os
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from tests.conftest import PROVENANCE, composed, tree
from tests.faults.case import fault_of_end
from tests.processes import Forked

# all stages, in a few seconds
SMALL = (
    *("data.count=4", "data.height=64", "data.width=96", "flow.rate=8"),
    *("logger=none", "report.page=false", "trainer.readers=0"),
)


def places(room: Path) -> list[str]:
    """The options that keep a run inside ``room``."""
    return [
        f"store_dir={room / 'store'}",
        f"dataset_dir={room / 'dataset'}",
        f"hydra.run.dir={room / 'run'}",
    ]


@dataclass(frozen=True)
class End:
    """How a command ended. fault: what is wrong with that, whatever it was asked to do."""

    status: int
    said: str
    errors: str
    fault: str | None


def run_here(room: Path, *overrides: str) -> None:
    """A run in this process, in ``room``. Raises what it raises."""
    from dynprep.app import run

    given = {o.partition("=")[0] for o in overrides}
    mine = [o for o in places(room)[:2] if o.partition("=")[0] not in given]
    config, choices = composed([*SMALL, *mine, *overrides])
    (room / "run").mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(config, choices, room / "run")


def forked(room: Path, *overrides: str) -> Forked:
    """A run in a process and a session of its own."""
    return Forked(room, *SMALL, *places(room), *overrides, own_group=True)


def finished(room: Path, *overrides: str) -> End:
    """A run in a process of its own, waited for."""
    told = forked(room, *overrides).wait()
    fault = fault_of_end(told.returncode, told.stdout, told.stderr)
    return End(told.returncode, told.stdout, told.stderr, fault)


def command(folder: Path, *arguments: str) -> End:
    """The command line in this process, in ``folder``."""
    from dynprep import commands, sweep

    root = logging.getLogger()
    before = list(root.handlers), root.level, sys.argv, Path.cwd(), sys.stdin, dict(os.environ)
    sys.argv, sys.stdin = ["dynprep", *arguments], io.StringIO()
    sweep._current[:] = []
    said, errors = io.StringIO(), io.StringIO()
    os.chdir(folder)
    crash = ""
    status: object = 0
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            status = commands.main()
    except SystemExit as end:
        status = end.code
    except BaseException as error:
        crash = f"a traceback: {type(error).__name__}: {str(error)[:300]}"
    finally:
        for handler in set(root.handlers) - set(before[0]):
            handler.close()
        root.handlers[:], root.level, sys.argv = before[:3]
        sys.stdin = before[4]
        os.chdir(before[3])
        os.environ.clear()
        os.environ.update(before[5])
    code = status if isinstance(status, int) else int(status is not None)
    words = said.getvalue(), errors.getvalue()
    return End(code, *words, crash or fault_of_end(code, *words))


@lru_cache
def made_once() -> Path:
    """A folder with a store, a dataset and a run of ``SMALL``, to be copied."""
    room = Path(mkdtemp(prefix="dynprep-faults-"))
    run_here(room, "dataset.link=copy")
    return room


def small_run(folder: Path) -> None:
    """Put a copy of a finished run into ``folder``: store, dataset, run."""
    source = made_once()
    for name in ("store", "dataset", "run"):
        shutil.copytree(source / name, folder / name, symlinks=True)
    for path in folder.rglob("*.json"):  # its own paths, not the copied run's
        text = path.read_text()
        if str(source) in text:
            path.unlink()
            path.write_text(text.replace(str(source), str(folder)))


def dataset_of(room: Path) -> dict[str, bytes]:
    """The files of the dataset by name, but those that tell of times and folders."""
    return tree(room / "dataset", PROVENANCE)


@lru_cache
def expected() -> dict[str, bytes]:
    """The files of the dataset that ``SMALL`` makes."""
    return dataset_of(made_once())


def fault_of_dataset(room: Path) -> str | None:
    """How the dataset differs from the expected one."""
    found = dataset_of(room)
    wrong = sorted(
        name for name in {*found, *expected()} if found.get(name) != expected().get(name)
    )
    if wrong:
        return f"a wrong dataset: {len(wrong)} files differ, e.g. {wrong[0]}"
    return None


def forget() -> None:
    """Remove what ``made_once`` made."""
    if made_once.cache_info().currsize:
        shutil.rmtree(made_once(), ignore_errors=True)
    made_once.cache_clear()
    expected.cache_clear()


def as_json(path: Path) -> object:
    """The value in a JSON file."""
    return json.loads(path.read_text())
