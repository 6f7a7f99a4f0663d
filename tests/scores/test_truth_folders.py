"""Truth that users bring: any of depth, labels or masks, and flow."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynprep.errors import UserError
from tests.conftest import RunHere, sliding, write_frames

STEP = 2
QUICK = ["data=frames", "flow.rate=8", "masks=none", "points=none", "report.page=false"]


@pytest.fixture
def clip(tmp_path: Path) -> str:
    """Six frames; what is seen slides to the left, the lower half twice as fast."""
    return f"data.path={write_frames(tmp_path / 'clip', sliding(6, 96, 160, STEP))}"


def flow_of(count: int) -> np.ndarray:
    flow = np.zeros((96, 160, 2), np.float32)
    flow[:48, :, 0], flow[48:, :, 0] = -STEP * count, -2 * STEP * count
    return flow


def scores(folder: Path) -> dict[str, float]:
    return json.loads((folder / "scores.json").read_text())["clip"]


def test_flow_files_are_truth(run_here: RunHere, clip: str, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    (truth / "flow").mkdir(parents=True)
    for target in (1, 2):
        np.save(truth / "flow" / f"00000_0000{target}.npy", flow_of(target))
    found = scores(run_here(*QUICK, clip, f"data.truth={truth}", "stages=[tracks]", name="a"))
    assert list(found) == ["tracks/delta_avg"]  # nothing is known of hiding
    assert found["tracks/delta_avg"] > 80
    for target in (1, 2):
        seen = np.ones((96, 160, 1), np.float32)
        seen[:, : 2 * STEP * target] = 0  # these leave the picture
        full = np.concatenate([flow_of(target), seen], 2)
        full[50:60] = np.nan  # unknown
        np.save(truth / "flow" / f"00000_0000{target}.npy", full)
    found = scores(run_here(*QUICK, clip, f"data.truth={truth}", "stages=[tracks]", name="b"))
    assert list(found) == ["tracks/delta_avg", "tracks/OA", "tracks/AJ"]
    assert found["tracks/OA"] > 80


def test_labels_of_another_size_and_in_colour(run_here: RunHere, clip: str, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    for name in ("depth", "labels"):
        (truth / name).mkdir(parents=True)
    for k in range(6):
        depth = np.full((96, 160), 4.0, np.float32)
        depth[48:] = 2.0
        np.save(truth / "depth" / f"{k:05d}.npy", depth)
        label = np.zeros((48, 80, 3), np.uint8)
        label[:8, :8] = (200, 0, 0)
        Image.fromarray(label).save(truth / "labels" / f"{k:05d}.png")
    stages = "stages=[masks,metric_depth,depth]"
    found = scores(run_here(*QUICK, clip, f"data.truth={truth}", stages))
    assert "depth/absrel/disparity/video/lsq/static" in found
    assert 0 <= found["depth/absrel/disparity/video/lsq/static"] < 0.5


def test_truth_that_cannot_be_read_is_refused_before_any_work(
    run_here: RunHere, clip: str, tmp_path: Path
) -> None:
    truth = tmp_path / "truth"
    (truth / "flow").mkdir(parents=True)
    np.save(truth / "flow" / "first.npy", flow_of(1))
    with pytest.raises(UserError, match="name it after its two frames"):
        run_here(*QUICK, clip, f"data.truth={truth}")
    (truth / "flow" / "first.npy").unlink()
    np.save(truth / "flow" / "0_1.npy", np.zeros((3, 3)))
    with pytest.raises(UserError, match=r"its shape is \(3, 3\)"):
        run_here(*QUICK, clip, f"data.truth={truth}")
    assert not (tmp_path / "store" / "images").exists()


def test_renaming_a_folder_of_truth_is_noticed(
    run_here: RunHere, clip: str, tmp_path: Path
) -> None:
    truth = tmp_path / "truth"
    (truth / "depths").mkdir(parents=True)
    for k in range(6):
        np.save(truth / "depths" / f"{k:05d}.npy", np.full((96, 160), 3.0, np.float32))
    arguments = [*QUICK, clip, f"data.truth={truth}", "stages=[masks,metric_depth]"]
    folder = run_here(*arguments, name="a")
    assert json.loads((folder / "scores.json").read_text())["clip"] == {}
    (truth / "depths").rename(truth / "depth")
    assert "metric_depth/absrel/depth/none" in scores(run_here(*arguments, name="b"))
