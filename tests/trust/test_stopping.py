"""It stops when told to, says so, and leaves no process behind."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from dynprep.stopping import MESSAGE, STOPPED
from tests.conftest import PROVENANCE, cli, tree
from tests.processes import Forked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
# stages of some seconds, so that a signal meets work
LONG = [
    "data.count=16", "data.height=240", "data.width=320", "flow.rate=16", "stages=[tracks]", "logger=none",
    "report.page=false",
]  # fmt: skip


def group(leader: int) -> list[int]:
    """Living processes of a session, zombies left out."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                state, _, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == leader and state != "Z":
                found.append(int(path.name))
    return found


def begun(tmp_path: Path, *more: str) -> Forked:
    """A run that has begun to compute optical flow, by readers or ranks of its own."""
    process = Forked(tmp_path, *LONG, *more, own_group=True)
    end = time.monotonic() + 90
    while not list(tmp_path.glob("outputs/store/optical_flow/*/*.npy")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    assert len(group(process.pid)) > 1
    return process


def gone(leader: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not group(leader):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("number", "to_group"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)],
)
def test_a_signal_ends_it_in_time(number: int, to_group: bool, tmp_path: Path) -> None:
    process = begun(tmp_path)
    told = time.monotonic()
    (os.killpg if to_group else os.kill)(process.pid, number)
    done = process.wait(20)
    assert time.monotonic() - told < 10
    assert done.returncode == STOPPED
    assert done.stderr.splitlines()[-1] == f"dynprep: {MESSAGE}"
    assert "Traceback" not in done.stderr
    assert gone(process.pid, 5)
    (record,) = (tmp_path / "outputs" / "runs").glob("2*/*/run.json")
    assert json.loads(record.read_text())["status"] == "stopped"


@pytest.mark.thorough
def test_stopped_in_several_ranks_and_the_rerun_gives_the_same_bytes(tmp_path: Path) -> None:
    process = begun(tmp_path, "trainer=ddp_cpu")
    os.killpg(process.pid, signal.SIGTERM)
    done = process.wait(20)
    assert done.returncode == STOPPED and done.stderr.splitlines()[-1] == f"dynprep: {MESSAGE}"
    assert gone(process.pid, 5)
    assert cli(tmp_path, *LONG, "dataset_dir=again").returncode == 0
    assert cli(tmp_path, *LONG, "dataset_dir=calm", "store_dir=other").returncode == 0
    assert tree(tmp_path / "again", PROVENANCE) == tree(tmp_path / "calm", PROVENANCE)


@pytest.mark.parametrize("trainer", ["cpu", "ddp_cpu"])
def test_nothing_outlives_a_killed_main_process(trainer: str, tmp_path: Path) -> None:
    process = begun(tmp_path, f"trainer={trainer}")
    process.kill()
    assert gone(process.pid, 5)


@pytest.mark.thorough
def test_jobs_do_not_outlive_a_killed_launcher(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    jobs = [
        "-m",
        *LONG,
        "alignment=median,huber",
        "hydra/launcher=parallel",
        "hydra.sweep.dir=sweep",
    ]
    process = Forked(tmp_path, *jobs, own_group=True)
    end = time.monotonic() + 90
    while not list(tmp_path.glob("outputs/store/optical_flow/*")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.kill()
    assert gone(process.pid, 5)
