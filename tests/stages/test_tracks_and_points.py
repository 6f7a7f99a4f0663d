"""Track files of every form, and trajectories lifted from them."""

import json
from pathlib import Path

import numpy as np
import pytest

from dynprep.artefacts.tracks import Pairs
from dynprep.errors import UserError
from tests.conftest import SMALL, RunHere, composed

BIGGER = ["data.count=10", "data.height=120", "data.width=216", "flow.rate=4", "logger.samples=2"]


def truth_of(tmp_path: Path) -> Path:
    (found,) = {p.parent for p in (tmp_path / "store").rglob("truth.json")}
    return found


@pytest.mark.thorough
def test_static_points_stay_where_they_are(run_here: RunHere, tmp_path: Path) -> None:
    """Positions in camera space, moved by the true camera, are one place in the world."""
    run = run_here(*BIGGER)
    dataset = run / "dataset" / "demo"
    truth = json.loads((truth_of(tmp_path) / "truth.json").read_text())
    cameras = np.asarray(truth["camera_to_world"])
    background = np.load(dataset / "points" / "bg.npz", allow_pickle=False)
    positions, visible = background["positions"].astype(np.float64), background["visibility"] > 0.5
    assert positions.shape[1:] == (10, 3) and len(positions) > 500
    world = np.einsum("tij,ntj->nti", cameras[:, :3, :3], positions) + cameras[:, :3, 3]
    spread = []
    for places, seen, depths in zip(world, visible, positions[..., 2], strict=True):
        middle = np.median(places[seen], 0)
        spread.append(
            np.median(np.linalg.norm(places[seen] - middle, axis=1)) / depths[seen].mean()
        )
    assert np.median(spread) < 0.05, "background points wander"
    # as pixels they are where the tracks say, at the start exactly on the grid
    fx, fy, cx, cy = background["intrinsics"]
    own = positions[np.arange(len(positions)), background["query"]]
    x, y = own[:, 0] / own[:, 2] * fx + cx, own[:, 1] / own[:, 2] * fy + cy
    assert (
        np.abs(np.rint(x / 4) * 4 - x).max() < 0.05 and np.abs(np.rint(y / 4) * 4 - y).max() < 0.05
    )
    from PIL import Image

    for kind, value in (("fg", True), ("bg", False)):
        cloud = np.load(dataset / "points" / f"{kind}.npz", allow_pickle=False)
        assert len(cloud["colours"]) == len(cloud["positions"]) == len(cloud["confidence"])
        assert np.isfinite(cloud["positions"]).all()
        places = cloud["positions"][np.arange(len(cloud["query"])), cloud["query"]]
        px = np.rint(places[:, 0] / places[:, 2] * fx + cx).astype(int)
        py = np.rint(places[:, 1] / places[:, 2] * fy + cy).astype(int)
        for query in np.unique(cloud["query"]):
            mask = np.asarray(Image.open(dataset / "masks" / f"{query:05d}.png")) > 0
            picture = np.asarray(Image.open(dataset / "images" / f"{query:05d}.png"))
            mine = cloud["query"] == query
            assert (mask[py[mine], px[mine]] == value).all()
            assert np.array_equal(picture[py[mine], px[mine]], cloud["colours"][mine])


@pytest.mark.thorough
def test_the_trainers_space(run_here: RunHere) -> None:
    camera = run_here(*BIGGER, name="camera") / "dataset" / "demo" / "points"
    run = run_here(*BIGGER, "points.space=orthographic", name="ortho")
    ortho = run / "dataset" / "demo" / "points"
    depths = []
    for kind in ("fg", "bg"):
        a, b = (np.load(folder / f"{kind}.npz") for folder in (camera, ortho))
        assert np.array_equal(a["query"], b["query"])
        depths.append((a["positions"][..., 2], b["positions"][..., 2]))
        own = b["positions"][np.arange(len(b["query"])), b["query"]]
        assert np.abs(own[:, :2]).max() <= 1
    metres, unit = (np.concatenate([d[k].ravel() for d in depths]) for k in (0, 1))
    assert unit.min() == pytest.approx(0.5, abs=1e-4) and unit.max() == pytest.approx(2, abs=1e-4)
    assert np.corrcoef(metres, unit)[0, 1] > 0.9999


@pytest.mark.usefixtures("small_store")
def test_nothing_on_the_object(run_here: RunHere) -> None:
    run = run_here(*SMALL, "masks=none")
    found = np.load(run / "dataset" / "demo" / "points" / "fg.npz")
    assert found["positions"].shape == (0, 8, 3)


@pytest.mark.parametrize(
    ("text", "queries", "of_two"),
    [("all", [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]), ("window:1", [0, 1, 2, 3, 4], [1, 2, 3]),
     ("stride:2", [0, 2, 4], [0, 1, 2, 3, 4])],
)  # fmt: skip
def test_which_pairs(text: str, queries: list[int], of_two: list[int]) -> None:
    pairs = Pairs.parse(text)
    assert pairs.queries(5) == queries and list(pairs.targets(2, 5)) == of_two
    assert pairs.count(5) == sum(len(pairs.targets(q, 5)) for q in queries)


@pytest.mark.parametrize("text", ["some", "window", "window:0", "stride:-1", "window:x"])
def test_no_such_pairs(text: str) -> None:
    from dynprep.config.build import settings

    config, choices = composed([f"flow.pairs={text}", "dataset_dir=x", "store_dir=y"])
    with pytest.raises(UserError, match="flow: pairs is"):
        settings(config, choices)


def files(run: Path) -> dict[str, np.ndarray]:
    folder = run / "dataset" / "demo" / "alltracker"
    return {p.stem: np.load(p, allow_pickle=False) for p in sorted(folder.glob("*.npy"))}


@pytest.mark.usefixtures("small_store")
def test_logits_are_what_tapirs_readers_undo(run_here: RunHere) -> None:
    options = [*SMALL, "stages=[tracks]"]
    plain = files(run_here(*options, name="plain"))
    logit = files(run_here(*options, "flow.scores=logit", name="logit"))
    for name, tracks in plain.items():
        other = logit[name].astype(np.float64)
        occlusion = 1 / (1 + np.exp(-other[:, 2]))
        confidence = 1 - 1 / (1 + np.exp(-other[:, 3]))
        assert np.array_equal(other[:, :2], tracks[:, :2])
        assert np.allclose(occlusion, tracks[:, 2], atol=1e-5)
        assert np.allclose(confidence, tracks[:, 3], atol=1e-5)


@pytest.mark.usefixtures("small_store")
def test_half_the_bytes(run_here: RunHere) -> None:
    options = [*SMALL, "stages=[tracks]"]
    plain = files(run_here(*options, name="plain"))
    half = files(run_here(*options, "flow.dtype=float16", name="half"))
    for name, tracks in plain.items():
        assert half[name].dtype == np.float16 and np.allclose(half[name], tracks, atol=0.1)


def test_a_run_says_how_consistent_tracks_are(run_here: RunHere) -> None:
    run = run_here(*BIGGER, "data=demo", "stages=[tracks]")
    found = json.loads((run / "consistency.json").read_text())["demo"]
    assert 0 < found["tracks/cycle/mean_px"] < 10 and found["tracks/cycle/within_4px"] > 80
