"""What a run shows: its page, its pictures, its loggers, its lines in the terminal."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SMALL, RunHere

Cli = Callable[..., subprocess.CompletedProcess[str]]


def _frames_of(video: Path) -> int:
    import av

    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.usefixtures("small_store")
def test_videos_and_a_point_cloud_are_written(run_here: RunHere) -> None:
    out = run_here(*SMALL)
    assert _frames_of(out / "media" / "demo" / "tracks.mp4") == 8
    assert _frames_of(out / "media" / "demo" / "masks.mp4") == 8
    cloud = np.load(out / "media" / "demo" / "points.npy")
    assert cloud.shape[1] == 6 and np.isfinite(cloud).all() and (cloud[:, 2] < 0).all()


@pytest.mark.usefixtures("small_store")
def test_csv_logger(run_here: RunHere) -> None:
    text = (run_here(*SMALL, "logger=csv") / "metrics.csv").read_text()
    assert "time/tracks," in text and "tracks/delta_avg," in text


@pytest.mark.thorough
def test_terminal_is_readable_at_80_columns(run_cli: Cli, run_main: Cli) -> None:
    done = run_cli(*SMALL, "logger=none", "dataset_dir=out", "store_dir=store")
    assert done.returncode == 0, done.stderr
    rows = ("stage ", "images ", "metric_depth ", "tracks ", "points ")
    tables = [line for line in done.stderr.splitlines() if line.startswith(rows)]
    assert len(tables) == 2 * len(rows) and max(len(line.rstrip()) for line in tables) <= 80
    assert "\x1b" not in done.stderr and "needs up to" in done.stderr and "per s" in done.stderr
    assert not done.stdout
    again = run_main(*SMALL, "logger=none", "dataset_dir=out", "store_dir=store")
    assert "all" in again.stderr and not re.search(r"\d items in \d", again.stderr)


@pytest.mark.usefixtures("small_store")
def test_rerun_recording_holds_everything(
    run_here: RunHere, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerun")
    out = run_here(*SMALL, "points.mask_erosion=0", "logger.rerun=true")
    path = out / "media" / "demo" / "recording.rrd"
    assert str(path) in capsys.readouterr().err.replace("\n", "")
    rerun = [sys.executable, "-m", "rerun", "rrd"]
    done = subprocess.run(
        [*rerun, "verify", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [*rerun, "print", str(path)], capture_output=True, text=True, check=True
    ).stdout
    for entity in ("world/path", "world/camera", "world/camera/image", "world/camera/depth", "world/camera/masks",
                   "world/camera/image/tracks", "world/object", "world/background", "world/trails"):  # fmt: skip
        assert f"/{entity}" in listed, entity
