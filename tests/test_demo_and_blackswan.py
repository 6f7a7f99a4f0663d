"""The main job on the demo clip and on a real video, held to what is promised of it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import RunHere, write_video
from tests.contract import faults

Cli = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.slow


def test_demo_meets_its_floors(run_here: RunHere) -> None:
    out = run_here()
    scores = json.loads((out / "scores.json").read_text())["demo"]
    assert scores["depth/absrel/disparity/video/lsq/static"] <= 0.15
    assert scores["flow/delta_avg"] >= 60
    assert scores["masks/J"] >= 0.6
    assert scores["metric_depth/absrel/depth/none/static"] <= 0.05


def test_blackswan_frames_with_given_masks(run_cli: Cli, shared: Path, tmp_path: Path) -> None:
    swan = shared / "data" / "blackswan"
    done = run_cli(
        "data=frames", f"data.path={swan / 'images'}", "masks=folder", f"masks.path={swan / 'masks'}",
        "metric_depth=parallax", "flow.rate=4", "dataset_dir=OUT", "store_dir=store",
        "data.max_frames=20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not faults(tmp_path / "OUT" / "blackswan")
    own = np.asarray(Image.open(tmp_path / "OUT" / "blackswan" / "masks" / "00007.png")) > 0
    given = np.asarray(Image.open(swan / "masks" / "00007.png")) > 0
    assert (own == given).all()


def test_blackswan_video_with_motion_masks(run_cli: Cli, shared: Path, tmp_path: Path) -> None:
    swan = shared / "data" / "blackswan"
    frames = [np.asarray(Image.open(p).convert("RGB")) for p in sorted((swan / "images").iterdir())]
    video = write_video(tmp_path / "blackswan.mp4", frames)
    done = run_cli(
        "data=video", f"data.path={video}", "flow.rate=8", "dataset_dir=OUT", "store_dir=store",
        f"data.truth={swan}", "logger=none", "logger.report=false", "data.max_frames=30",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not faults(tmp_path / "OUT" / "blackswan")
    (scores,) = (tmp_path / "outputs").rglob("scores.json")
    assert json.loads(scores.read_text())["blackswan"]["masks/J"] >= 0.40
