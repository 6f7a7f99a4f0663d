"""Bad input: one clear line that names the file or option, non-zero status, nothing lost."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynprep.errors import UserError
from tests.conftest import (
    PROVENANCE,
    SMALL,
    RunHere,
    sliding,
    texture,
    tree,
    write_frames,
    write_video,
)

Cli = Callable[..., subprocess.CompletedProcess[str]]
FRAMES = ["data=frames", "flow.rate=16", "report.page=false"]


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if line.startswith("dynprep: ")]
    assert done.returncode != 0 and len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data=video", "data.path=nowhere.mp4"], ["nowhere.mp4", "no such file", "data.path"]),
        (["data=frames", "data.path=nowhere"], ["nowhere", "data.path"]),
        (["data=video"], ["data.path is not set"]),
        (["data=vidio"], ["data=vidio", "did you mean video"]),
        (["depth=paralax"], ["depth=paralax", "did you mean parallax"]),
        (["data.pth=x"], ["data.pth", "data.path"]),
        (["data.path=dog.mp4"], ["data.path is an option of", "data=video"]),
        (["data=video", "data.path=a (1).mp4"], ["quotes"]),
        (["camera.focal=nan"], ["camera", "nan"]),
        (["flow.rat=4"], ["flow.rat", "flow.rate"]),
        (["aligment=median"], ["aligment", "alignment"]),
        (["flow.rate=four"], ["flow.rate=four", "whole number"]),
        (["flow.rate=0"], ["flow.rate is 0; it must be 1 or more"]),
        (["+depth.strenght=3"], ["depth.strenght", "strength"]),
        (["stages=[depht]"], ["depht", "did you mean depth"]),
        (["stages=[flow]"], ["the stage of group flow is tracks"]),
        (["alignment.method=meadian"], ["alignment.method=meadian", "median or lstsq or huber"]),
        (["trainer.strategy=ddp"], ["strategy=ddp", "refused", "ddp_spawn"]),
        (["trainer=gpu", "trainer.strategy=ddp_fork"], ["ddp_fork cannot be used on GPUs"]),
        (["dataset_dir="], ["dataset_dir is empty"]),
        (["store=out"], ["store is a group of options", "store_dir="]),
        (["report=no"], ["report is a group of options", "report.NAME"]),
        (["camera.fov=400"], ["fov is 400"]),
        (["camera.fov=40", "camera.focal=500"], ["fov and focal", "one of them"]),
        (["data.stride=0"], ["stride is 0"]),
        (["alignment.use_png=true", "alignment.per=video"], ["use_png=true", "per=frame"]),
    ],
)
def test_wrong_options_fail_before_any_work(
    run_main: Cli, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    one_line(run_main(*arguments), *words)
    made = [p for p in tmp_path.rglob("*") if p.suffix in (".npy", ".png", ".mp4")]
    assert not made


@pytest.mark.thorough
def test_empty_folder_and_text_file_named_mp4(run_main: Cli, run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    one_line(run_main("data=frames", "data.path=empty"), "empty", "holds no .png")
    one_line(run_main("data=video", "data.path=empty"), "empty", "holds no video")
    (tmp_path / "note.mp4").write_text("this is no video\n" * 50)
    one_line(run_cli("data=video", "data.path=note.mp4"), "note.mp4", "not a video")


def test_frames_of_two_sizes(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "f", sliding(3, 64, 96))
    Image.fromarray(texture(60, 96)).save(folder / "00003.png")
    with pytest.raises(UserError, match=r"00000\.png is 96x64, 00003\.png is 96x60"):
        run_here(*FRAMES, f"data.path={folder}")


def test_one_corrupt_picture(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "scene" / "images", sliding(6, 64, 96))
    victim = folder / "00002.png"
    os.truncate(victim, victim.stat().st_size // 2)
    with pytest.raises(UserError, match=r"00002\.png: not a complete PNG"):
        run_here(*FRAMES, f"data.path={folder}")
    out = run_here(*FRAMES, f"data.path={folder}", "data.on_error=skip", name="skip")
    assert len(list((out / "dataset" / "scene" / "images").iterdir())) == 5


def test_two_frames_with_one_stem(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "f", sliding(2, 64, 96))
    Image.fromarray(texture(64, 96)).save(folder / "00001.jpg")
    with pytest.raises(UserError, match=r"00001\.(png and 00001\.jpg|jpg and 00001\.png)"):
        run_here(*FRAMES, f"data.path={folder}")


def test_video_cut_in_half(run_here: RunHere, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)  # noise, so that every frame takes its share of the file
    noisy = [
        np.clip(f + rng.normal(0, 20, f.shape), 0, 255).astype(np.uint8)
        for f in sliding(24, 96, 160)
    ]
    whole = write_video(tmp_path / "w.mp4", noisy, options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    with pytest.raises(UserError, match=r"cut\.mp4: .*data\.on_error=skip"):
        run_here("data=video", f"data.path={cut}", "flow.rate=16")
    out = run_here(
        "data=video", f"data.path={cut}", "data.on_error=skip", "flow.rate=16", name="skip"
    )
    count = len(list((out / "dataset" / "cut" / "images").iterdir()))
    assert 2 <= count < 24
    assert len(list((out / "dataset" / "cut" / "alltracker").iterdir())) == count**2


def test_one_frame_says_what_cannot_work_and_two_frames_work(
    run_here: RunHere, tmp_path: Path
) -> None:
    one = write_frames(tmp_path / "one", sliding(1, 64, 96))
    with pytest.raises(UserError, match=r"one: .*(2 frames|no parallax)"):
        run_here(*FRAMES, f"data.path={one}")
    two = write_frames(tmp_path / "two", sliding(2, 64, 96))
    out = run_here(*FRAMES, f"data.path={two}", name="two") / "dataset" / "two"
    assert len(list((out / "alltracker").iterdir())) == 4
    # with depth from a sensor a single frame works
    (tmp_path / "depth").mkdir()
    np.save(
        tmp_path / "depth" / "00000.npy",
        np.linspace(1, 3, 64 * 96, dtype=np.float32).reshape(64, 96),
    )
    single = run_here(
        *FRAMES, f"data.path={one}", "metric_depth=sensor", f"metric_depth.path={tmp_path / 'depth'}",
        "metric_depth.scale=1.0", "stages=[metric_depth,masks,tracks]", name="single",
    )  # fmt: skip
    assert (single / "dataset" / "one" / "unidepth_disp" / "00000.npy").is_file()
    assert (single / "dataset" / "one" / "alltracker" / "00000_00000.npy").is_file()


def test_masks_missing_for_some_frames(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "scene" / "images", sliding(4, 64, 96))
    masks = tmp_path / "masks"
    masks.mkdir()
    for k in (0, 1, 3):
        Image.fromarray(np.full((64, 96), 200, np.uint8)).save(masks / f"{k:05d}.png")
    options = [
        *FRAMES,
        f"data.path={folder}",
        "masks=folder",
        f"masks.path={masks}",
        "stages=[masks]",
    ]
    with pytest.raises(UserError, match=r"no mask for 1 of 4 frames \(first 00002\)"):
        run_here(*options)
    out = run_here(*options, "masks.missing=empty", name="empty") / "dataset" / "scene" / "masks"
    values = [int(np.asarray(Image.open(out / f"{k:05d}.png")).max()) for k in range(4)]
    assert values == [255, 255, 0, 255]


def test_sensor_without_depth_and_with_a_wrong_scale(run_here: RunHere, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "scene" / "images", sliding(2, 64, 96))
    with pytest.raises(UserError, match=r"came without depth.*metric_depth\.path"):
        run_here(*FRAMES, f"data.path={folder}", "metric_depth=sensor")
    depth = tmp_path / "depth"
    depth.mkdir()
    for k in range(2):
        np.save(depth / f"{k:05d}.npy", np.full((64, 96), 900.0))
    with pytest.raises(UserError, match=r"metric_depth\.scale"):
        run_here(
            *FRAMES, f"data.path={folder}", "metric_depth=sensor", f"metric_depth.path={depth}",
            "metric_depth.scale=1.0",
        )  # fmt: skip


@pytest.mark.usefixtures("small_store")
def test_foreign_files_are_never_deleted(run_here: RunHere, tmp_path: Path) -> None:
    foreign = tmp_path / "run" / "dataset" / "demo" / "masks"
    foreign.mkdir(parents=True)
    (foreign / "mine.png").write_bytes(b"mine")
    (foreign.parent / "notes.txt").write_text("mine too")
    with pytest.raises(
        UserError, match=r"demo: holds 1 files that dynprep did not write, e\.g\. masks/mine\.png"
    ):
        run_here(*SMALL)
    assert (foreign / "mine.png").read_bytes() == b"mine"
    (foreign / "mine.png").unlink()
    out = run_here(*SMALL)
    assert (out / "dataset" / "demo" / "notes.txt").read_text() == "mine too"
    # a file of ours that the user replaced is the user's
    target = out / "dataset" / "demo" / "masks" / "00000.png"
    target.unlink()
    target.write_bytes(b"edited by hand")
    with pytest.raises(
        UserError, match=r"were changed since dynprep wrote them, e\.g\. masks/00000"
    ):
        run_here(*SMALL)
    assert target.read_bytes() == b"edited by hand"


@pytest.mark.usefixtures("small_store")
def test_shorter_clip_removes_only_what_dynprep_wrote(run_here: RunHere) -> None:
    out = run_here(*SMALL) / "dataset" / "demo"
    assert len(list((out / "images").iterdir())) == 8
    (out / "notes.txt").write_text("mine")
    run_here(*SMALL, "data.max_frames=5")
    assert (
        len(list((out / "images").iterdir())) == 5
        and len(list((out / "alltracker").iterdir())) == 25
    )
    assert (out / "notes.txt").exists()


def test_missing_inputs_are_named(run_here: RunHere, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"alignment needs depth and metric_depth.*add depth and metric_depth"
    ):
        run_here(*SMALL, "stages=[alignment]", "alignment.static_only=false")
    run_here(*SMALL, "stages=[masks,metric_depth,depth]")
    out = run_here(*SMALL, "stages=[alignment]", name="later")
    shown = sorted(p.name for p in (out / "dataset" / "demo").iterdir() if p.is_dir())
    assert shown == ["aligned_depth_anything_v2", "images"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB, where this process may mount one."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(where)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_too_small_a_disk_is_refused_before_work(run_here: RunHere, small_disk: Path) -> None:
    with pytest.raises(UserError, match=r"are needed, .* are free.*store_dir"):
        run_here(*SMALL, "data.count=30", "flow.rate=1", f"store_dir={small_disk / 'store'}")


def test_disk_that_fills_up_keeps_what_is_whole(
    run_here: RunHere, small_disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dynprep.pipeline import execute

    options = [*SMALL, "flow.rate=2"]
    store = small_disk / "store"
    with monkeypatch.context() as patch:
        patch.setattr(
            execute, "free_bytes", lambda folder: 10**12
        )  # somebody else fills it meanwhile
        with pytest.raises(UserError, match=r"disk is full.*finished items stay stored"):
            run_here(*options, f"store_dir={store}")
    assert not list(store.rglob(".tmp-*"))
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    finished = {p: p.stat().st_mtime_ns for p in store.rglob("masks/*/*.png")}
    out = run_here(*options, f"store_dir={store}", name="again")
    assert {p: p.stat().st_mtime_ns for p in finished} == finished and finished
    calm = run_here(*options, f"store_dir={tmp_path / 'calm_store'}", name="calm")
    assert tree(out / "dataset", PROVENANCE) == tree(calm / "dataset", PROVENANCE)


def test_read_only_places(run_main: Cli, run_here: RunHere, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    one_line(run_main(*SMALL, f"store_dir={small_disk / 's'}"), "store_dir=", "another store_dir")
    with pytest.raises(UserError, match=r"dataset_dir=.*Read-only.*another dataset_dir"):
        run_here(*SMALL, f"dataset_dir={small_disk / 'd'}")


def test_still_camera_says_that_there_is_no_depth(run_here: RunHere, tmp_path: Path) -> None:
    ground, block = texture(96, 160, 1), texture(24, 24, 2)
    frames = []
    rng = np.random.default_rng(0)
    for k in range(8):
        frame = ground.copy()
        frame[30:54, 10 + 8 * k : 34 + 8 * k] = block
        frames.append(np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8))
    folder = write_frames(tmp_path / "still" / "images", frames)
    out = run_here("data=frames", f"data.path={folder}", "flow.rate=16", "report.page=true")
    assert "the camera hardly moves" in (out / "report.html").read_text()
    depth = np.load(out / "dataset" / "still" / "unidepth_disp" / "00003.npy")
    assert np.ptp(depth) == 0  # nothing invented
    mask = np.asarray(Image.open(out / "dataset" / "still" / "masks" / "00004.png")) > 0
    true = np.zeros((96, 160), bool)
    true[30:54, 42:66] = True
    assert (mask & true).sum() / (mask | true).sum() > 0.4


def test_asking_for_a_gpu_that_is_not_there(run_here: RunHere) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match=r"trainer\.accelerator=gpu.*trainer=auto"):
        run_here(*SMALL, "trainer=gpu")
