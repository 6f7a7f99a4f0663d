"""The Python API: reading datasets, backends on arrays, whole runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader

import dynprep
from benchmarks import random_weights
from dynprep.artefacts.alignment import AlignedDisparity, AlignmentFits
from dynprep.artefacts.masks import ObjectMasks
from dynprep.dataset import DatasetScene
from dynprep.errors import UserError
from tests.conftest import SMALL, runner, sliding, write_frames

COUNT, HEIGHT, WIDTH, RATE = 5, 64, 96, 8
Array = NDArray[Any]


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack(sliding(COUNT, HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, images: NDArray[np.uint8]) -> Path:
    """A scene of a dataset that a run wrote, with a network for depth."""
    root = tmp_path_factory.mktemp("api")
    write_frames(root / "clip", list(images))
    weights = random_weights.depth_anything(root / "weights")
    run = runner(root)(
        "data=frames", f"data.path={root / 'clip'}", f"flow.rate={RATE}", "prior=aligned",
        "depth=depth_anything_v2_small", f"depth.checkpoint={weights}", "depth.parameters=null",
        "batch_size=1", "logger.samples=1",
    )  # fmt: skip
    return run / "dataset" / "clip"


@pytest.fixture(scope="module")
def scene(folder: Path) -> DatasetScene:
    return dynprep.open(folder)


def stem(frame: int) -> str:
    return f"{frame:05d}"


def test_names_are_there_without_imports_that_take_time() -> None:
    assert set(dynprep.__all__) == {
        "FrameDataset", "TrackDataset", "__version__", "backend", "open", "run",
    }  # fmt: skip
    with pytest.raises(AttributeError, match="dynprep has no attribute nothing"):
        dynprep.nothing  # noqa: B018


def test_a_scene_says_what_it_holds(scene: DatasetScene) -> None:
    assert len(scene) == COUNT and scene.name == "clip"
    assert scene.stems == [stem(k) for k in range(COUNT)]
    assert scene.frames.size == (HEIGHT, WIDTH)
    assert repr(scene).endswith("clip': 5 frames of 96x64)")
    assert scene.has(ObjectMasks) and scene.has(AlignedDisparity)


READERS: dict[str, tuple[Callable[[DatasetScene], Array], str, type[np.generic], tuple[int, ...]]] = {
    "rgb": (lambda s: s.rgb(2), "images/00002.png", np.uint8, (HEIGHT, WIDTH, 3)),
    "masks": (lambda s: s.masks(2), "masks/00002.png", np.bool_, (HEIGHT, WIDTH)),
    "metric": (lambda s: s.metric_disparity(2), "unidepth_disp/00002.npy", np.float32, (HEIGHT, WIDTH)),
    "relative": (
        lambda s: s.relative_disparity(2), "depth_anything_v2/00002.png", np.float64, (HEIGHT, WIDTH),
    ),
    "aligned": (
        lambda s: s.aligned_disparity(2), "aligned_depth_anything_v2/00002.npy", np.float32,
        (HEIGHT, WIDTH),
    ),
    "prior": (
        lambda s: s.depth_prior(2), "marigold/depth_npy/00002_pred.npy", np.float32, (HEIGHT, WIDTH),
    ),
    "tracks": (
        lambda s: s.tracks(1, 3), "alltracker/00001_00003.npy", np.float32,
        (HEIGHT * WIDTH // RATE**2, 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", READERS)
def test_arrays_are_the_files(what: str, scene: DatasetScene, folder: Path) -> None:
    read, name, dtype, shape = READERS[what]
    found = read(scene)
    assert found.dtype == dtype and found.shape == shape
    path = folder / name
    stored = np.load(path) if path.suffix == ".npy" else np.asarray(Image.open(path))
    scale = {"masks": 255, "relative": 65535}.get(what, 1)
    assert np.array_equal(found * scale, stored)
    assert stored.std() > 0 or what == "masks"


def test_cameras_pairs_and_points(scene: DatasetScene, folder: Path) -> None:
    rows = json.loads((folder / "unidepth_intrins.json").read_text())
    found = scene.intrinsics(3)
    assert found.dtype == np.float64 and found.tolist() == rows[stem(3)]
    assert scene.track_pairs() == [(q, t) for q in range(COUNT) for t in range(COUNT)]
    for kind in ("fg", "bg"):
        cloud, stored = scene.points(kind), np.load(folder / "points" / f"{kind}.npz")
        assert cloud.positions.shape == (len(cloud), COUNT, 3)
        for name in ("positions", "visibility", "confidence", "colours", "query"):
            assert np.array_equal(getattr(cloud, name), stored[name])


def test_frames_come_in_batches(scene: DatasetScene) -> None:
    dataset = dynprep.FrameDataset(scene)
    assert len(dataset) == COUNT
    batches = list(DataLoader(dataset, batch_size=2))
    assert [b["frame"].tolist() for b in batches] == [[0, 1], [2, 3], [4]]
    first = batches[0]
    assert {k: (tuple(v.shape[1:]), v.dtype) for k, v in first.items()} == {
        "frame": ((), torch.int64),
        "rgb": ((3, HEIGHT, WIDTH), torch.float32),
        "mask": ((HEIGHT, WIDTH), torch.bool),
        "metric_disparity": ((HEIGHT, WIDTH), torch.float32),
        "aligned_disparity": ((HEIGHT, WIDTH), torch.float32),
        "depth_prior": ((HEIGHT, WIDTH), torch.float32),
        "intrinsics": ((4,), torch.float64),
    }
    rgb = (first["rgb"][1].permute(1, 2, 0) * 255).round().numpy()
    assert np.array_equal(rgb, scene.rgb(1))
    assert np.array_equal(first["aligned_disparity"][1].numpy(), scene.aligned_disparity(1))
    assert np.array_equal(first["mask"][1].numpy(), scene.masks(1))


def test_pairs_come_in_batches(scene: DatasetScene) -> None:
    dataset = dynprep.TrackDataset(scene)
    assert len(dataset) == COUNT**2
    batch = next(iter(DataLoader(dataset, batch_size=COUNT + 2)))
    assert batch["query"].tolist() == [0] * COUNT + [1, 1]
    assert batch["target"].tolist() == [*range(COUNT), 0, 1]
    points = HEIGHT * WIDTH // RATE**2
    assert batch["pixels"].shape == (COUNT + 2, points, 2)
    assert np.array_equal(batch["tracks"][3].numpy(), scene.tracks(0, 3))
    assert np.array_equal(batch["pixels"][-2].numpy(), scene.tracks(1, 1)[:, :2])


def test_a_dataset_is_read_in_other_processes(scene: DatasetScene) -> None:
    loader = DataLoader(dynprep.FrameDataset(scene), batch_size=COUNT, num_workers=1)
    (batch,) = loader
    assert np.array_equal(batch["metric_disparity"][4].numpy(), scene.metric_disparity(4))


def test_logits_are_read_as_probabilities(tmp_path: Path, folder: Path) -> None:
    """Tracks mean the same whatever form they were written in, and under other folder names."""
    source = folder.parents[2] / "clip"
    run = runner(tmp_path)(
        "data=frames", f"data.path={source}", f"flow.rate={RATE}", "stages=[tracks]",
        "flow.scores=logit", "flow.dtype=float16", "flow.pairs=window:1", "layout.tracks=bootstapir",
    )  # fmt: skip
    scene = dynprep.open(run / "dataset" / "clip")
    pairs = [(q, t) for q in range(COUNT) for t in range(COUNT) if abs(q - t) <= 1]
    assert scene.track_pairs() == pairs
    for pair in pairs:
        wanted = dynprep.open(folder).tracks(*pair)
        assert np.abs(scene.tracks(*pair) - wanted).max() < 0.05


def test_the_parallax_backends_are_what_a_run_writes(
    images: NDArray[np.uint8], folder: Path, scene: DatasetScene
) -> None:
    disparity, intrinsics = dynprep.backend("metric_depth=parallax").predict(images)
    assert disparity.shape == (COUNT, HEIGHT, WIDTH) and intrinsics.shape == (COUNT, 4)
    for k in range(COUNT):
        assert np.array_equal(disparity[k], scene.metric_disparity(k))
        assert np.array_equal(intrinsics[k], scene.intrinsics(k))
    run = runner(folder.parents[2])(
        "data=frames",
        f"data.path={folder.parents[2] / 'clip'}",
        "stages=[masks,depth]",
        name="depth",
    )
    (stored,) = (
        r.parent
        for r in (folder.parents[2] / "store" / "depth").glob("*/result.json")
        if json.loads(r.read_text())["recipe"]["backend"] == "parallax"
    )
    found = dynprep.backend("depth=parallax").predict(images)
    assert found.dtype == np.float32 and run.is_dir()
    for k in range(COUNT):
        assert np.array_equal(found[k], np.load(stored / f"{stem(k)}.npy"))


def test_masks_and_tracks_are_what_a_run_writes(
    images: NDArray[np.uint8], scene: DatasetScene
) -> None:
    masks = dynprep.backend("masks=motion").predict(images)
    assert masks.dtype == bool and masks.shape == (COUNT, HEIGHT, WIDTH)
    assert all(np.array_equal(masks[k], scene.masks(k)) for k in range(COUNT))
    tracks = dynprep.backend("flow=dis", f"flow.rate={RATE}").predict(images)
    assert list(tracks) == scene.track_pairs()
    assert all(np.array_equal(found, scene.tracks(*pair)) for pair, found in tracks.items())


def test_a_network_is_what_a_run_writes(images: NDArray[np.uint8], folder: Path) -> None:
    weights = folder.parents[2] / "weights"
    network = dynprep.backend(
        "depth=depth_anything_v2_small", f"depth.checkpoint={weights}", "depth.parameters=null",
        "batch_size=1",
    )  # fmt: skip
    found = network.predict(images)
    stored = next(
        r.parent
        for r in (folder.parents[2] / "store" / "depth").glob("*/result.json")
        if json.loads(r.read_text())["recipe"]["backend"] == "dpt"
    )
    assert found.std() > 0
    for k in range(COUNT):
        assert np.array_equal(found[k], np.load(stored / f"{stem(k)}.npy"))
    # a network sees one frame at a time, and may be asked again
    assert np.array_equal(network.predict(images[1:2])[0], found[1])


def test_a_known_camera_is_used(images: NDArray[np.uint8]) -> None:
    known = np.array([80.0, 80.0, 47.5, 31.5])
    backend = dynprep.backend("metric_depth=parallax")
    _, one = backend.predict(images, known)
    _, each = backend.predict(images, np.tile(known, (COUNT, 1)))
    assert np.array_equal(one, np.tile(known, (COUNT, 1))) and np.array_equal(one, each)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((2, 64, 96), np.uint8), "images has shape"),
        (np.zeros((2, 64, 96, 3), np.float32), "uint8"),
        (np.zeros((0, 64, 96, 3), np.uint8), "at least one"),
    ],
)
def test_other_images_are_refused(wrong: Array, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dynprep.backend("masks=none").predict(wrong)


def test_other_cameras_are_refused(images: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="intrinsics has shape"):
        dynprep.backend("masks=none").predict(images, np.ones((COUNT - 1, 4)))


def test_a_run_is_the_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quiet = ["logger=none", "report.page=false"]
    summary = dynprep.run([*SMALL, "stages=[masks,metric_depth]", *quiet])
    assert summary.failure is None and summary.scenes == {"demo": "8 frames of 160x96"}
    assert summary.scores["demo"]["metric_depth/absrel/depth/none/static"] < 0.05
    (dataset,) = summary.datasets
    assert dataset == summary.folder / "dataset" / "demo"
    assert summary.folder.relative_to(tmp_path).parts[:2] == ("outputs", "runs")
    assert len(dynprep.open(dataset)) == 8 and (tmp_path / "outputs" / "store" / "masks").is_dir()
    again = dynprep.run([*SMALL, "stages=[masks]", *quiet, "hydra.run.dir=mine", "dataset_dir=OUT"])
    assert again.folder == tmp_path / "mine" and (tmp_path / "OUT" / "demo" / "masks").is_dir()
    assert all(stage.made == 0 for stage in again.runs)
    record = json.loads((tmp_path / "mine" / "run.json").read_text())
    assert record["status"] == "done" and "dataset_dir=OUT" in record["overrides"]


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no folder": (lambda: dynprep.open("nowhere"), "nowhere: no scene of a dataset"),
    "no choice": (lambda: dynprep.backend("depth=paralax"), "did you mean parallax"),
    "no group": (lambda: dynprep.backend("dpth=parallax"), "dpth"),
    "a group of something else": (lambda: dynprep.backend("logger=none"), "no group of backends"),
    "a helper": (lambda: dynprep.backend("motion=dis"), "no group of backends"),
    "no option": (lambda: dynprep.backend("depth=parallax", "depth.sgma=1"), "depth.sigma"),
    "no run": (lambda: dynprep.run(["flow.rate=0", "logger=none"]), "flow.rate is 0"),
    "no stage": (lambda: dynprep.run(["stages=[flow]"]), "the stage of group flow is tracks"),
    "no experiment": (lambda: dynprep.run(["experiment=bst"]), "experiment=bst"),
}


@pytest.mark.parametrize("what", WRONG)
def test_errors_are_one_line(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, said = WRONG[what]
    with pytest.raises(UserError) as caught:
        call()
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_what_a_dataset_lacks_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "images").symlink_to(folder / "images")
    scene = dynprep.open(tmp_path / "bare")
    assert np.array_equal(scene.rgb(1), dynprep.open(folder).rgb(1))
    for read, stage in (
        (lambda: scene.aligned_disparity(0), "run the stage alignment"),
        (lambda: scene.intrinsics(0), "run the stage metric_depth"),
        (scene.track_pairs, "run the stage tracks"),
    ):
        with pytest.raises(UserError, match=stage) as caught:
            read()
        assert "\n" not in str(caught.value)
    assert not scene.has(AlignedDisparity) and not scene.has(AlignmentFits)
    assert set(dynprep.FrameDataset(scene)[0]) == {"frame", "rgb"}


def test_a_program_that_uses_hydra_itself_keeps_it(tmp_path: Path) -> None:
    from hydra import compose, initialize_config_dir

    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        dynprep.backend("masks=none")
        assert compose("mine").a == 1


def test_fits_of_a_dataset_are_read(scene: DatasetScene) -> None:
    assert (scene.folder / "alignment.json").is_file()
    assert set(scene.read(AlignmentFits).fits) == set(scene.stems)
