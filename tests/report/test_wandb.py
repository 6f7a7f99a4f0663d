"""The run in W&B: open from the start, in order, finished however it ends, and nothing lost when it is killed."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from dynprep.errors import UserError
from tests.conftest import SMALL, RunHere, sliding, write_frames
from tests.processes import Forked
from tests.read_wandb import parse


def read(folder: Path) -> dict:
    """What a run's offline file holds, once the run has ended."""
    (path,) = folder.glob("*.wandb")
    end = time.monotonic() + 30  # W&B's own process writes the last records
    while (parsed := parse(path))["exit"] is None and time.monotonic() < end:
        time.sleep(0.2)
    return parsed


def offline_run(folder: Path) -> Path:
    (run,) = (folder / "wandb").glob("offline-run-*")
    return run


@pytest.mark.usefixtures("small_store")
def test_it_holds_names_tags_pictures_curves_and_scores_in_order(
    run_here: RunHere, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run_here(
        *SMALL, "logger=wandb", "logger.artifact=true", "report.page=true", "report.points=500"
    )
    folder = offline_run(out)
    said = capsys.readouterr().err
    assert f"wandb    {folder}" in said and f"wandb sync {folder}" in said
    parsed = read(folder)
    assert parsed["exit"] == 0
    project, name, group, tags = parsed["run"]
    assert (project, group) == ("dynprep", "") and name.startswith("demo-")
    assert {"data=demo", "masks=motion", "alignment=huber", "flow=dis", "resolution=native"} <= set(
        tags
    )
    assert not any(tag.startswith(("logger=", "hydra", "check=")) for tag in tags)
    assert parsed["config"]["flow"]["rate"] == 8 and parsed["config"]["command"].startswith(
        "dynprep"
    )
    assert parsed["types"]["stats"] >= 1  # of the system
    # stages came in the order in which they ran, each with its pictures, before any score
    rows = [{k for k in row if k[0] != "_"} for row in parsed["history"]]
    stages = [k.partition("/")[2] for row in rows for k in row if k.startswith("time/")]
    ran = [stage["name"] for stage in json.loads((out / "run.json").read_text())["stages"]]
    assert stages == ran
    for stage in ("images", "masks", "metric_depth", "depth", "alignment", "prior", "tracks"):
        (row,) = [row for row in rows if f"time/{stage}" in row]
        assert {f"pictures/{stage}/filenames", f"made/{stage}"} <= row, stage
    assert any({"videos/masks/videos", "time/masks"} <= row for row in rows)
    first_score = next(k for k, row in enumerate(rows) if "scenes/score/path" in row)
    assert all(f"time/{stage}" not in row for row in rows[first_score:] for stage in ran)
    fits = [row for row in parsed["history"] if "alignment/scale" in row]
    assert [row["frame"] for row in fits] == list(range(8)) and {row["scene"] for row in fits} == {
        "demo"
    }
    assert parsed["summary"]["score/tracks/delta_avg"] > 0
    media = folder / "files" / "media"
    assert list(media.rglob("*.mp4")) and list((media / "object3D").rglob("*.json"))
    assert ("dataset", "dataset-demo") in parsed["artifacts"]


@pytest.mark.usefixtures("small_store")
def test_keys_name_no_scene(run_here: RunHere, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_frames(tmp_path / "clips" / name, sliding(4, 48, 64))
    out = run_here(
        "data=frames", f"data.path={tmp_path / 'clips'}", "stages=[masks]", "logger=wandb"
    )
    parsed = read(offline_run(out))
    keys = {key for row in parsed["history"] for key in row} | set(parsed["summary"])
    assert not any("one" in key.split("/") or "two" in key.split("/") for key in keys)
    key = "pictures/masks/captions"
    (captions,) = [row[key] for row in parsed["history"] if key in row]
    assert {caption.split()[0] for caption in captions} == {"one", "two"}


def test_a_failed_run_is_there_and_says_so(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "s" / "images", sliding(3, 64, 96))
    (tmp_path / "masks").mkdir()
    Image.new("L", (96, 64)).save(tmp_path / "masks" / "00000.png")
    with pytest.raises(UserError, match="no mask"):
        run_here("data=frames", f"data.path={folder}", "masks=folder", f"masks.path={tmp_path / 'masks'}",
                 "logger=wandb", "report.page=true")  # fmt: skip
    parsed = read(offline_run(tmp_path / "run"))
    assert parsed["exit"] == 1 and "no mask" in parsed["summary"]["failure"]
    assert "no mask" in (tmp_path / "run" / "report.html").read_text()


LONG = ["data.count=24", "data.height=240", "data.width=320", "flow.rate=16", "stages=[tracks]", "logger=wandb",
        "logger.samples=1", "report.page=false"]  # fmt: skip


def begun(tmp_path: Path) -> tuple[Forked, Path]:
    """A run that has ended a stage and computes optical flow, and its W&B folder."""
    process = Forked(tmp_path, *LONG, own_group=True)
    end = time.monotonic() + 90
    while not list(tmp_path.glob("outputs/store/optical_flow/*/*.npy")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    (folder,) = tmp_path.glob("outputs/runs/2*/*/wandb/offline-run-*")
    return process, folder


def outlived(leader: int, seconds: float) -> list[str]:
    """Names of processes of a session that still live after so long."""
    end = time.monotonic() + seconds
    while True:
        left = []
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                try:
                    head, _, tail = (path / "stat").read_text().rpartition(")")
                except OSError:
                    continue
                state, _, _, session = tail.split()[:4]
                if int(session) == leader and state != "Z":
                    left.append(head)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_stopped_run_is_there_and_says_so(tmp_path: Path) -> None:
    process, folder = begun(tmp_path)
    os.kill(process.pid, signal.SIGTERM)
    process.wait(20)
    parsed = read(folder)
    assert parsed["exit"] == 1 and parsed["summary"]["failure"] == "stopped"
    assert outlived(process.pid, 5) == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_killed_run_loses_nothing_and_leaves_no_process(tmp_path: Path) -> None:
    process, folder = begun(tmp_path)
    time.sleep(2)  # what was logged is written out every second
    process.kill()
    process.wait(20)
    assert outlived(process.pid, 10) == []
    parsed = parse(next(folder.glob("*.wandb")))
    logged = [key for row in parsed["history"] for key in row if key.startswith("time/")]
    assert "time/images" in logged and parsed["run"][1].startswith("demo-")
    assert any("pictures/images/filenames" in row for row in parsed["history"])


def test_online_without_an_account_fails_before_work(
    run_here: RunHere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(UserError, match="wandb login"):
        run_here(*SMALL, "logger=wandb", "logger.mode=online")
    assert not (tmp_path / "store").exists()
