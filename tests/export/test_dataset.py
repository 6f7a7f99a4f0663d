"""The dataset folder: its links, its manifest, whose files it touches."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dynprep.config.build import settings
from dynprep.errors import UserError
from dynprep.links import LinkKind, place
from dynprep.stages.alignment import Alignment, RelativeSample
from dynprep.vision.affine import Affine
from tests.conftest import SMALL, RunHere, composed, sliding, tree, write_frames, write_video
from tests.contract import faults


@pytest.mark.usefixtures("small_store")
def test_dataset_is_complete_linked_and_explained(run_here: RunHere, tmp_path: Path) -> None:
    scene = run_here(*SMALL, "dataset.link=hard") / "dataset" / "demo"
    assert not faults(scene)
    linked = [p for p in scene.rglob("*") if p.is_file() and p.suffix in (".png", ".npy")]
    assert linked and all(p.stat().st_nlink >= 2 for p in linked)
    provenance = json.loads((scene / "dynprep.json").read_text())
    folders = provenance["folders"]
    assert set(folders) == {
        "images", "masks", "objects", "unidepth_disp", "depth_anything_v2", "aligned_depth_anything_v2",
        "marigold/depth_npy", "alltracker", "points",
    }  # fmt: skip
    depth = folders["depth_anything_v2"]
    assert depth["backend"] == "parallax" and depth["options"]["fill_masked"] is True
    assert depth["versions"]["numpy"] == np.__version__ and len(depth["key"]) == 32
    (stored,) = (tmp_path / "store" / "depth").iterdir()
    assert stored.name == depth["key"]
    assert os.path.samefile(stored / "00000.png", scene / "depth_anything_v2" / "00000.png")


@pytest.mark.usefixtures("small_store")
def test_maps_are_what_the_contract_says(run_here: RunHere, tmp_path: Path) -> None:
    scene = run_here(*SMALL, "metric_depth.fill=nearest", "alignment=median") / "dataset" / "demo"
    (stored,) = (tmp_path / "store" / "depth").iterdir()
    for stem in ("00000", "00005"):
        disparity = np.load(stored / f"{stem}.npy").astype(np.float64)
        scaled = (disparity - disparity.min()) / (disparity.max() - disparity.min()) * 65535
        png = np.asarray(Image.open(scene / "depth_anything_v2" / f"{stem}.png"))
        assert (png == scaled.astype(np.uint16)).mean() > 0.999
        # the published alignment from the files themselves
        m, r = png / 65535, np.load(scene / "unidepth_disp" / f"{stem}.npy").astype(np.float64)
        scale = np.median((r - np.median(r) + 1e-8) / (m - np.median(m) + 1e-8))
        shift = np.median(r - scale * m)
        a = scale * m + shift
        a[a < min(1e-6, np.quantile(a, 0.01))] = 0
        aligned = np.load(scene / "aligned_depth_anything_v2" / f"{stem}.npy")
        assert scale > 0 and np.allclose(aligned, np.maximum(a, 0), rtol=1e-6, atol=1e-9)


@pytest.mark.usefixtures("small_store")
def test_tracks_npy_and_pth_say_the_same(run_here: RunHere) -> None:
    scene = run_here(*SMALL, "flow.formats=[npy,pth]") / "dataset" / "demo"
    own = np.load(scene / "alltracker" / "00002_00002.npy")
    assert (own[:, 2] == 0).all() and (own[:, 3] == 1).all()
    grid = np.stack(np.meshgrid(np.arange(0, 160, 8), np.arange(0, 96, 8)), -1).reshape(-1, 2)
    assert (own[:, :2] == grid).all()
    for name in ("00002_00002", "00001_00006"):
        bundle = torch.load(scene / "alltracker" / f"{name}.pth", weights_only=True)
        assert (bundle["tracks"].numpy() == np.load(scene / "alltracker" / f"{name}.npy")).all()
        assert bundle["original_size"] == [96, 160] and bundle["rate"] == 8
    # visible points are called visible, as the trainer's product reads them
    tracks = np.load(scene / "alltracker" / "00001_00002.npy")
    assert ((1 - tracks[:, 2]) * tracks[:, 3]).mean() > 5 * (tracks[:, 2] * tracks[:, 3]).mean()


def test_plain_frames_are_taken_as_they_are_and_resized_ones_are_not(
    run_here: RunHere, tmp_path: Path
) -> None:
    frames = sliding(3, 120, 160)
    plain = write_frames(tmp_path / "plain" / "images", frames)
    out = run_here("data=frames", f"data.path={plain}", "stages=[masks]", "masks=none", name="a")
    shown = out / "dataset" / "plain" / "images" / "00001.png"
    assert shown.read_bytes() == (plain / "00001.png").read_bytes()
    jpegs = write_frames(tmp_path / "jpegs" / "images", frames, ".JPG")
    out = run_here("data=frames", f"data.path={jpegs}", "stages=[masks]", "masks=none", name="b")
    assert (out / "dataset" / "jpegs" / "images" / "00001.jpg").is_file()
    out = run_here(
        "data=frames", f"data.path={jpegs}", "stages=[masks]", "masks=none", "resolution=480p",
        "resolution.short_side=60", name="c",
    )  # fmt: skip
    small = Image.open(out / "dataset" / "jpegs" / "images" / "00001.png")
    assert small.size == (80, 60)


def test_several_videos_are_several_scenes(run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for k, name in enumerate(("one", "two")):
        write_video(tmp_path / "clips" / f"{name}.mp4", sliding(4 + k, 64, 96))
    out = run_here("data=video", f"data.path={tmp_path / 'clips'}", "flow.rate=16")
    for name, count in (("one", 4), ("two", 5)):
        assert not faults(out / "dataset" / name)
        assert len(list((out / "dataset" / name / "images").iterdir())) == count


def test_user_intrinsics_reach_the_dataset(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "s" / "images", sliding(3, 120, 160))
    base = ["data=frames", f"data.path={folder}", "stages=[metric_depth,masks]", "resolution=480p",
            "resolution.short_side=60"]  # fmt: skip

    def found(name: str, *options: str) -> list[float]:
        out = run_here(*base, *options, name=name) / "dataset" / "s" / "unidepth_intrins.json"
        return json.loads(out.read_text())["00001"]

    assert found("focal", "camera.focal=200") == pytest.approx([100, 100, 39.5, 29.5])
    assert found("fov", "camera.fov=90") == pytest.approx([40, 40, 39.5, 29.5])
    (tmp_path / "k.json").write_text(json.dumps([150, 160, 80.0, 60.0]))
    file = found("file", f"camera.file={tmp_path / 'k.json'}")
    assert file == pytest.approx([75, 80, (80.5) / 2 - 0.5, (60.5) / 2 - 0.5])
    (tmp_path / "k.json").write_text("{bad")
    with pytest.raises(UserError, match=r"camera\.file=.*not valid JSON"):
        found("bad", f"camera.file={tmp_path / 'k.json'}")


@pytest.mark.usefixtures("small_store")
@pytest.mark.thorough
def test_alignment_choices(run_here: RunHere) -> None:
    reports = {}
    for choice in ("median", "lstsq", "huber", "sequence", "lstsq alignment.per=smooth"):
        out = run_here(*SMALL, *f"alignment={choice}".split(), name=choice[:9].replace(" ", "_"))
        assert not faults(out / "dataset" / "demo", ["aligned"])
        reports[choice] = json.loads((out / "dataset" / "demo" / "alignment.json").read_text())
    assert len({f["scale"] for f in reports["sequence"]["frames"].values()}) == 1
    rough = np.diff([f["scale"] for f in reports["lstsq"]["frames"].values()])
    smooth = np.diff([f["scale"] for f in reports["lstsq alignment.per=smooth"]["frames"].values()])
    assert np.abs(smooth).max() < np.abs(rough).max()
    for report in reports.values():
        for fit in report["frames"].values():
            assert fit["scale"] > 0 and 0 <= fit["inliers"] <= 1 and fit["residual"] >= 0


def test_as_published_negative_disparity_is_kept() -> None:
    """The published rule puts 0 below a map's own first percentile, and keeps what lies between that and 0."""
    m = np.linspace(0, 1, 1001).reshape(7, 143)
    line = Affine(2.0, -0.5)
    maps = []
    for published in ("false", "true"):
        options = [
            "alignment=median",
            f"alignment.published={published}",
            "dataset_dir=O",
            "store_dir=S",
        ]
        stage = settings(*composed(options)).stages["alignment"]
        assert isinstance(stage, Alignment)
        maps.append(stage.compute([RelativeSample(m, line, None)])[0])
    ours, scripts = maps
    a = 2.0 * m - 0.5
    expected = np.where(a < min(1e-6, np.quantile(a, 0.01)), 0, a)
    assert np.array_equal(scripts, expected.astype(np.float32)) and (scripts < 0).any()
    assert np.array_equal(ours, np.maximum(scripts, 0))


def test_scale_below_zero_is_refused_and_recorded(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "s" / "images", sliding(4, 64, 96, 3))
    depth = tmp_path / "depth"
    depth.mkdir()
    ramp = np.linspace(3, 1, 64, dtype=np.float32)[:, None] * np.ones((1, 96), np.float32)
    for k in range(4):  # near is far: the strip at the bottom, which parallax calls near, is deep
        np.save(depth / f"{k:05d}.npy", ramp[::-1])
    base = ["data=frames", f"data.path={folder}", "metric_depth=sensor", f"metric_depth.path={depth}",
            "metric_depth.scale=1.0", "masks=none", "stages=[masks,metric_depth,depth,alignment]",
            "alignment=lstsq"]  # fmt: skip
    out = run_here(*base) / "dataset" / "s" / "alignment.json"
    fits = json.loads(out.read_text())["frames"].values()
    assert all(fit["fallback"] == "spread" and fit["scale"] > 0 for fit in fits)
    with pytest.raises(UserError, match=r"near would become far.*alignment\.fallback"):
        run_here(*base, "alignment.fallback=fail", name="fail")


@pytest.mark.usefixtures("small_store")
def test_a_crash_while_laying_out_does_not_lock_the_folder(
    run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dynprep.export import content

    scene = run_here(*SMALL) / "dataset" / "demo"
    before = tree(scene)
    placed: list[Path] = []

    def crash(source: Path, target: Path, kind: LinkKind) -> None:
        if len(placed) == 5:
            (target.parent / f".tmp-123-{target.name}").write_bytes(b"half")  # what a kill leaves
            raise KeyboardInterrupt
        placed.append(target)
        place(source, target, kind)

    with monkeypatch.context() as patch:
        patch.setattr(content, "place", crash)
        with pytest.raises(KeyboardInterrupt):
            run_here(*SMALL, "depth.sigma=20.0")
    assert tree(scene) == before  # the old one, whole
    run_here(*SMALL, "depth.sigma=20.0")
    assert sorted(p.name for p in scene.parent.iterdir()) == ["demo"]
    assert not faults(scene)


@pytest.mark.usefixtures("small_store")
def test_truncated_store_file_is_mended_in_the_same_dataset(
    run_here: RunHere, tmp_path: Path
) -> None:
    scene = run_here(*SMALL, "dataset.link=hard") / "dataset" / "demo"
    good = (scene / "aligned_depth_anything_v2" / "00001.npy").read_bytes()
    (victim,) = (tmp_path / "store" / "alignment").glob("*/00001.npy")
    victim.chmod(0o644)
    os.truncate(victim, 40)
    run_here(*SMALL, "dataset.link=hard")
    assert (scene / "aligned_depth_anything_v2" / "00001.npy").read_bytes() == good


@pytest.mark.parametrize(
    "name", ["unidepth_intrins.json", "alignment.json", "dynprep.json", "dynprep_files.json"]
)
def test_a_users_file_at_the_top_is_not_overwritten(
    run_here: RunHere, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "run" / "dataset" / "demo" / name
    path.parent.mkdir(parents=True)
    path.write_text("[1, 2]")
    with pytest.raises(UserError, match="dataset_dir"):
        run_here(*SMALL)
    assert path.read_text() == "[1, 2]"


def test_frames_that_are_symlinks(run_here: RunHere, tmp_path: Path) -> None:
    real = write_frames(tmp_path / "real", sliding(3, 64, 96))
    links = tmp_path / "links" / "images"
    links.mkdir(parents=True)
    for path in real.iterdir():
        (links / path.name).symlink_to(Path("../../real") / path.name)
    out = run_here("data=frames", f"data.path={links}", "flow.rate=16")
    assert not faults(out / "dataset" / "links")
    assert not any(p.is_symlink() for p in out.rglob("*"))


def test_one_scene_name_is_one_folder(run_here: RunHere) -> None:
    for name in ("../x", "a/b", ""):
        with pytest.raises(UserError, match=r"name is"):
            run_here(*SMALL, f"data.name='{name}'")
