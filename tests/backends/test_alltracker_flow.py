"""flow=alltracker through run.py's code: pairs, sizes, weights, contract."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dynprep.backends.flow.alltracker import net_size
from dynprep.errors import UserError
from dynprep.models import AllTracker
from tests.conftest import RunHere, composed, sliding, tree, write_frames
from tests.contract import faults

BASE = [
    "masks=none",
    "prior=none",
    "stages=[tracks]",
    "flow=alltracker_tiny",
    "flow.iters=1",
    "flow.rate=8",
]


def network(visible: float = 3.0) -> AllTracker:
    """Tracks that move a little, everywhere as visible as asked and sure of it."""
    torch.manual_seed(3)
    made = AllTracker("tiny").eval()
    with torch.no_grad():
        made.flow_head[2].weight.mul_(0.1)
        made.visconf_head[2].weight.mul_(0.01)
        made.visconf_head[2].bias.copy_(torch.tensor([visible, 3.0]))
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "alltracker_tiny.pth"
    torch.save({"model": network().state_dict()}, path)
    return path


def clip(tmp_path: Path, count: int = 4, height: int = 72, width: int = 100) -> list[str]:
    if not (tmp_path / "clip").is_dir():
        write_frames(tmp_path / "clip", sliding(count, height, width))
    return ["data=frames", f"data.path={tmp_path / 'clip'}"]


def tracks(run: Path) -> dict[str, np.ndarray]:
    folder = run / "dataset" / "clip" / "alltracker"
    return {p.stem: np.load(p) for p in sorted(folder.glob("*.npy"))}


def test_all_pairs_are_what_track_gives(weights: Path, run_here: RunHere, tmp_path: Path) -> None:
    run = run_here(*clip(tmp_path), *BASE, f"flow.checkpoint={weights}")
    found = tracks(run)
    assert sorted(found) == [f"{q:05d}_{t:05d}" for q in range(4) for t in range(4)]
    # 100 wide becomes 96: points are read between the network's pixels
    import cv2
    from PIL import Image

    pictures = [np.asarray(Image.open(p)) for p in sorted((tmp_path / "clip").iterdir())]
    small = [cv2.resize(p, (96, 72), interpolation=cv2.INTER_LINEAR) for p in pictures]
    video = torch.from_numpy(np.stack(small).transpose(0, 3, 1, 2).astype(np.float32))
    flow, visconf = network().track(video, 1, iters=1)
    y, x = np.mgrid[0:72:8, 0:100:8]
    points = np.stack([x.ravel(), y.ravel()], 1).astype(np.float64)
    at = np.clip((points[:, 0] + 0.5) * 0.96 - 0.5, 0, 95)
    low = np.floor(at).astype(int)
    high, share = np.minimum(low + 1, 95), at - np.floor(at)
    rows = points[:, 1].astype(int)
    for target in (0, 2, 3):
        whole = torch.cat([flow[target], visconf[target]]).numpy().astype(np.float64)
        mixed = whole[:, rows, low] * (1 - share) + whole[:, rows, high] * share
        mine = found[f"00001_{target:05d}"]
        assert np.abs(mine[:, 0] - points[:, 0] - mixed[0] / 0.96).max() < 1e-2
        assert np.abs(mine[:, 1] - points[:, 1] - mixed[1]).max() < 1e-2
        assert np.abs(mine[:, 2] - (1 - mixed[2])).max() < 1e-3
        assert np.abs(mine[:, 3] - mixed[3]).max() < 1e-3
    own = found["00002_00002"]
    assert np.array_equal(own[:, :2], points) and not own[:, 2].any() and (own[:, 3] == 1).all()


def test_the_trainers_formula_sees_what_is_visible(run_here: RunHere, tmp_path: Path) -> None:
    """CONTRACT: (1 - occlusion) * confidence is certainly visible, occlusion * confidence hidden."""
    for visible, column in ((3.0, 0), (-3.0, 1)):
        path = tmp_path / f"w{column}.pth"
        torch.save({"model": network(visible).state_dict()}, path)
        run = run_here(*clip(tmp_path), *BASE, f"flow.checkpoint={path}", name=f"run{column}")
        for name, found in tracks(run).items():
            if name[:5] == name[6:]:
                continue
            occlusion, confidence = found[:, 2], found[:, 3]
            called = np.stack([(1 - occlusion) * confidence > 0.5, occlusion * confidence > 0.5])
            assert called[column].all() and not called[1 - column].any()


def test_memory_and_batches_change_no_number(
    weights: Path, run_here: RunHere, tmp_path: Path
) -> None:
    given = [*clip(tmp_path), *BASE, f"flow.checkpoint={weights}"]
    usual = tracks(run_here(*given, name="usual"))
    for name, options in {
        "pieces": ["flow.memory_gb=0.001"],
        "together": ["flow.together=3", "batch_size=4"],
    }.items():
        other = tracks(run_here(*given, *options, f"store_dir={tmp_path / name}_store", name=name))
        assert usual.keys() == other.keys()
        for pair, found in usual.items():
            assert np.abs(found - other[pair]).max() < 1e-3


@pytest.mark.parametrize(
    ("option", "pairs"),
    [
        (
            "window:1",
            {(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3)},
        ),
        ("stride:2", {(q, t) for q in (0, 2) for t in range(4)}),
    ],
)
def test_some_pairs(
    option: str, pairs: set[tuple[int, int]], weights: Path, run_here: RunHere, tmp_path: Path
) -> None:
    given = [*clip(tmp_path), *BASE, f"flow.checkpoint={weights}"]
    everything = tracks(run_here(*given, name="all"))
    some = tracks(run_here(*given, f"flow.pairs={option}", name="some"))
    assert set(some) == {f"{q:05d}_{t:05d}" for q, t in pairs}
    for name, found in some.items():
        assert np.abs(found - everything[name]).max() < 1e-3


def test_points_of_the_mask_alone(weights: Path, run_here: RunHere, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "masks"
    folder.mkdir()
    mask = np.zeros((72, 100), np.uint8)
    mask[20:40, 30:60] = 255
    for k in range(4):
        Image.fromarray(mask).save(folder / f"{k:05d}.png")
    run = run_here(
        *clip(tmp_path), *BASE, f"flow.checkpoint={weights}", "masks=folder", f"masks.path={folder}",
        "stages=[masks,tracks]", "flow.mask_only=true", "flow.mask_margin=0",
    )  # fmt: skip
    for found in tracks(run).values():
        assert len(found) == 2 * 4 + 4 or len(found) == len(tracks(run)["00000_00000"])
    x, y = tracks(run)["00001_00001"][:, :2].astype(int).T
    assert (mask[y, x] > 0).all() and len(x) == sum(
        bool(mask[v, u]) for v in range(0, 72, 8) for u in range(0, 100, 8)
    )


def test_a_network_of_the_other_size_is_refused(
    weights: Path, run_here: RunHere, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"flow.checkpoint=.*missing"):
        run_here(*clip(tmp_path), *BASE, "flow=alltracker", f"flow.checkpoint={weights}")


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_half_precision_is_near(
    precision: str, weights: Path, run_here: RunHere, tmp_path: Path
) -> None:
    given = [*clip(tmp_path), *BASE, f"flow.checkpoint={weights}", "flow.pairs=stride:3"]
    full = tracks(run_here(*given, name="full"))
    half = tracks(run_here(*given, f"flow.precision={precision}", name="half"))
    off = np.concatenate([np.abs(half[n][:, :2] - full[n][:, :2]).ravel() for n in full])
    moved = np.concatenate(
        [np.abs(full[n][:, :2] - full["00000_00000"][:, :2]).ravel() for n in full]
    )
    assert 0 < np.median(off) < 0.05 and moved.max() > 0.5


@pytest.mark.thorough
def test_resumed_and_in_two_processes(weights: Path, run_here: RunHere, tmp_path: Path) -> None:
    given = [*clip(tmp_path), *BASE, f"flow.checkpoint={weights}"]
    one = tracks(run_here(*given, name="one"))
    (result,) = (tmp_path / "store" / "tracks").iterdir()
    (result / "00002_00001.npy").unlink()
    again = tracks(run_here(*given, name="again"))
    two = tracks(
        run_here(*given, "trainer=ddp_cpu", f"store_dir={tmp_path / 'two_store'}", name="two")
    )
    for name, found in one.items():
        assert np.abs(found - again[name]).max() < 1e-3 and np.abs(found - two[name]).max() < 1e-3
    assert len(one) == len(two) == 16


@pytest.mark.thorough
def test_blackswan_keeps_the_contract(
    shared: Path, weights: Path, run_here: RunHere, tmp_path: Path
) -> None:
    swan = shared / "data" / "blackswan"
    run = run_here(
        "data=frames", f"data.path={swan / 'images'}", "data.name=blackswan", "data.max_frames=3",
        "masks=folder", f"masks.path={swan / 'masks'}", "flow=alltracker_tiny", "resolution.short_side=240",
        f"flow.checkpoint={weights}", "flow.rate=4", "flow.max_side=320", "flow.iters=2",
    )  # fmt: skip
    assert not faults(run / "dataset" / "blackswan")
    assert tree(run / "dataset" / "blackswan" / "alltracker").keys()


@pytest.mark.parametrize(
    ("image", "published"),
    # of an image (H, W): what the published demo makes of it at 1024 pixels
    [
        ((480, 854), (568, 1024)),
        ((720, 1280), (576, 1024)),
        ((1080, 1920), (576, 1024)),
        ((854, 480), (1024, 568)),
        ((512, 512), (1024, 1024)),
        ((333, 777), (432, 1024)),
    ],
)
def test_upscale_gives_the_published_demos_sizes(
    image: tuple[int, int], published: tuple[int, int]
) -> None:
    assert net_size(image, 1024, upscale=True) == published
    height, width = net_size(image, 1024, upscale=False)
    assert (height, width) == tuple(
        min(p, side // 8 * 8) for p, side in zip(published, image, strict=True)
    )


FOLDERS = ("dataset_dir=OUT", "store_dir=STORE")


def test_the_published_recipe_enlarges_and_the_plain_network_does_not() -> None:
    assert composed(["experiment=adagar", *FOLDERS])[0]["flow"]["upscale"] is True
    assert composed(["experiment=best", *FOLDERS])[0]["flow"]["upscale"] is True
    assert composed(["flow=alltracker", *FOLDERS])[0]["flow"]["upscale"] is False


def test_what_enlarging_costs_is_said_before_the_work(
    weights: Path, run_here: RunHere, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*clip(tmp_path, count=2), *BASE, f"flow.checkpoint={weights}"]
    run_here(*options, "flow.max_side=192", "flow.upscale=true")
    said = capsys.readouterr().err
    assert "enlarged from 100x72 to 192x136, 3.8 times the work (flow.upscale=false" in said
