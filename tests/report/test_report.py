"""What a run shows: its page, its pictures, its loggers, its lines in the terminal."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynprep.errors import UserError
from tests.conftest import SMALL, RunHere, sliding, write_frames
from tests.read_wandb import parse

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
def test_wandb_offline_holds_panels_curves_and_tables(run_here: RunHere) -> None:
    out = run_here(*SMALL, "logger=wandb")
    (folder,) = (out / "wandb").glob("offline-run-*")
    media = folder / "files" / "media"
    stages = {p.name.rsplit("_", 2)[0] for p in (media / "images" / "demo").iterdir()}
    assert {"images", "masks", "metric_depth", "depth", "alignment", "prior", "tracks"} <= stages
    assert (
        list(media.rglob("*.mp4"))
        and list((media / "object3D").rglob("*.json"))
        and list((media / "table").rglob("*"))
    )
    parsed = _read_wandb(folder)
    assert parsed["exit"] == 0
    assert parsed["summary"]["score/tracks/delta_avg"] > 0 and parsed["config"]["flow"]["rate"] == 8
    assert sum("demo/alignment/scale" in step for step in parsed["history"]) == 8


def test_wandb_run_of_a_failure_is_finished_as_failed(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "s" / "images", sliding(3, 64, 96))
    (tmp_path / "masks").mkdir()
    Image.new("L", (96, 64)).save(tmp_path / "masks" / "00000.png")
    with pytest.raises(UserError, match="no mask"):
        run_here("data=frames", f"data.path={folder}", "masks=folder", f"masks.path={tmp_path / 'masks'}",
                 "logger=wandb", "report.page=true")  # fmt: skip
    (run,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    parsed = _read_wandb(run)
    assert parsed["exit"] == 1 and "no mask" in parsed["summary"]["failure"]
    assert "no mask" in (tmp_path / "run" / "report.html").read_text()


def _read_wandb(folder: Path) -> dict:
    """Return what a run's offline file holds, once the run has ended."""
    (path,) = folder.glob("*.wandb")
    end = time.monotonic() + 30  # W&B's own process writes the last records
    while (parsed := parse(path))["exit"] is None and time.monotonic() < end:
        time.sleep(0.2)
    return parsed


@pytest.mark.usefixtures("small_store")
def test_csv_logger(run_here: RunHere) -> None:
    text = (run_here(*SMALL, "logger=csv") / "metrics.csv").read_text()
    assert "time/tracks," in text and "tracks/delta_avg," in text


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


def test_online_without_an_account_fails_before_work(
    run_here: RunHere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(UserError, match="wandb login"):
        run_here(*SMALL, "logger=wandb", "logger.mode=online")
    assert not (tmp_path / "store").exists()


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
