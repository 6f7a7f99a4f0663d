"""cameras.json: the camera of every frame, in metres where something tells metres; and poses from a file instead."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dynprep.errors import UserError
from tests.conftest import APC, SMALL, RunHere, sliding, write_frames

K = [f"camera.file={APC / 'camera.json'}"]
CLIP = ["data=frames", f"data.path={APC / 'images'}", "data.name=apc", *K]
NEEDED = "stages=[masks,metric_depth,cameras]"
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def cameras(run: Path) -> dict[str, Any]:
    (path,) = (run / "dataset").glob("*/cameras.json")
    return json.loads(path.read_text())


def poses_of(content: dict[str, Any]) -> np.ndarray:
    return np.array([frame["camera_to_world"] for frame in content["frames"]])


@pytest.mark.usefixtures("small_store")
def test_the_demo_is_in_metres(run_here: RunHere) -> None:
    run = run_here(*SMALL)
    content = cameras(run)
    assert (content["unit"], content["is_metric"], content["axes"]) == ("m", True, "opencv")
    assert content["metric_spread"] < 0.02
    assert (content["width"], content["height"]) == (160, 96)
    poses = poses_of(content)
    assert np.allclose(poses[0], np.eye(4)) and np.allclose(poses[:, 3], [0, 0, 0, 1])
    assert np.allclose(poses[:, :3, :3] @ np.swapaxes(poses[:, :3, :3], 1, 2), np.eye(3))
    assert [frame["stem"] for frame in content["frames"]] == [f"{k:05d}" for k in range(8)]
    truth = next((run.parent / "store").rglob("truth.json"))
    true = np.array(json.loads(truth.read_text())["camera_to_world"])[:8]
    walked, should = (
        np.linalg.norm(np.diff(p[:, :3, 3], axis=0), axis=1).sum() for p in (poses, true)
    )
    assert walked == pytest.approx(should, rel=0.07)  # the sensor tells metres
    (scores,) = json.loads((run / "scores.json").read_text()).values()
    assert scores["cameras/ate"] < 0.02


def test_without_what_tells_metres_the_unit_says_so(run_here: RunHere) -> None:
    assumed = cameras(run_here(*CLIP, NEEDED))
    assert (assumed["unit"], assumed["is_metric"]) == ("assumed m", False)
    bare = cameras(run_here(*CLIP, "stages=[cameras]", "poses.scale=none", name="bare"))
    assert (bare["unit"], bare["is_metric"]) == ("median depth of the clip", False)
    a, b = (poses_of(content)[:, :3, 3] for content in (assumed, bare))
    ratio = np.linalg.norm(a[1:], axis=1) / np.linalg.norm(b[1:], axis=1)
    assert np.ptp(ratio) < 1e-6  # the same path in another unit


def test_a_camera_that_stands_still_is_said(run_here: RunHere, tmp_path: Path) -> None:
    still = [next(iter(sliding(1, 96, 160)))] * 6
    frames = write_frames(tmp_path / "still", still)
    run = run_here("data=frames", f"data.path={frames}", "stages=[metric_depth,masks,cameras]")
    assert np.abs(poses_of(cameras(run)) - np.eye(4)).max() < 1e-3
    (provenance,) = (run / "dataset").glob("*/dynprep.json")
    record = json.loads(provenance.read_text())
    assert record is not None
    assert "stays in one place" in (run / "run.json").read_text() + provenance.read_text()


@pytest.fixture
def known() -> np.ndarray:
    return np.array(json.loads((APC / "poses.json").read_text()))


def given(poses: np.ndarray, folder: Path, *options: str) -> list[str]:
    (folder / "poses.json").write_text(json.dumps(poses.tolist()))
    return [*CLIP, NEEDED, "poses=file", f"poses.path={folder / 'poses.json'}", *options]


def test_known_poses_are_used_and_come_out_as_they_went_in(
    run_here: RunHere, known: np.ndarray, tmp_path: Path
) -> None:
    run = run_here(*given(known, tmp_path, "poses.metres=1.0"))
    content = cameras(run)
    assert np.abs(poses_of(content) - known).max() < 1e-6
    assert (content["unit"], content["is_metric"], content["backend"]) == ("m", True, "file")
    # depth from parallax is in metres then: the clip's is known
    depths = [np.asarray(Image.open(path)) / 1000 for path in sorted((APC / "depth").glob("*.png"))]
    true = np.median([np.median(depth[depth > 0]) for depth in depths])
    maps = sorted((run / "dataset" / "apc" / "unidepth_disp").glob("*.npy"))
    found = np.median([np.median(1 / np.load(path)) for path in maps])
    assert found == pytest.approx(true, rel=0.15)
    assert "NOT metric" not in (run / "run.json").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda poses: poses @ FLIP, r"read as of OpenGL axes .*would be"),
        (np.linalg.inv, "read as world to camera, .*would be"),
        (lambda poses: np.linalg.inv(poses @ FLIP), "world to camera with OpenGL axes, .*would be"),
        (lambda poses: poses[::-1], "of another clip or in another order"),
    ],
)
def test_poses_that_the_flow_contradicts_are_refused(
    run_here: RunHere, known: np.ndarray, tmp_path: Path, change: Any, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        run_here(*given(change(known), tmp_path))


def test_poses_in_millimetres_are_refused(
    run_here: RunHere, known: np.ndarray, tmp_path: Path
) -> None:
    known[:, :3, 3] *= 1000
    with pytest.raises(UserError, match=r"median depth would be \d+ m; .*poses.metres=0.001"):
        run_here(*given(known, tmp_path, "poses.metres=1.0"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["poses=file"], "poses.path=FILE"),
        (["poses=file", "poses.path=nowhere.json"], "there is no such file"),
        (["poses=file", "poses.path=nowhere.json", "poses.plausible=[3,1]"], "two growing depths"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    run_here: RunHere, options: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        run_here(*CLIP, NEEDED, *options)
