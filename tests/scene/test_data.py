"""Which scenes a path means, and what is said of the rest."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynprep.errors import UserError
from tests.conftest import RunHere, sliding, texture, write_frames, write_video

Captured = pytest.CaptureFixture[str]


def said(capsys: Captured) -> str:
    return " ".join(capsys.readouterr().err.split())


def scenes(run: Path) -> list[str]:
    return sorted(p.name for p in (run / "dataset").iterdir())


def test_a_gif_among_videos_is_named(tmp_path: Path, run_here: RunHere, capsys: Captured) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_video(clips / "a.mp4", sliding(3, 64, 96))
    Image.fromarray(texture(64, 96)).save(clips / "b.gif")
    run = run_here("data=video", f"data.path={clips}", "stages=[images]")
    assert scenes(run) == ["a"]
    assert "1 file is left out: b.gif;" in said(capsys)


def test_other_pictures_among_frames_are_named(
    tmp_path: Path, run_here: RunHere, capsys: Captured
) -> None:
    clip = write_frames(tmp_path / "clip", sliding(3, 64, 96))
    for k in range(2):
        Image.fromarray(texture(64, 96)).save(clip / f"{k}.webp")
    run_here("data=frames", f"data.path={clip}", "stages=[images]")
    assert "2 files are left out: 0.webp, 1.webp;" in said(capsys)


def test_masks_beside_images_are_no_scene(
    tmp_path: Path, run_here: RunHere, capsys: Captured
) -> None:
    frames = sliding(3, 64, 96)
    write_frames(tmp_path / "dog" / "images", frames)
    write_frames(tmp_path / "dog" / "masks", [np.zeros_like(f) for f in frames])
    run = run_here("data=frames", f"data.path={tmp_path / 'dog'}", "stages=[images]")
    assert scenes(run) == ["dog"]
    assert "its frames are in images, masks next to it is left out" in said(capsys)


def test_folders_without_such_a_name_are_scenes(tmp_path: Path, run_here: RunHere) -> None:
    for name in ("cat", "dog"):
        write_frames(tmp_path / "all" / name, sliding(2, 64, 96))
    run = run_here("data=frames", f"data.path={tmp_path / 'all'}", "stages=[images]")
    assert scenes(run) == ["cat", "dog"]


def shots(kind: str, folder: Path) -> Path:
    """Three shots of 4, 3 and 5 frames."""
    colours = ((1, 1, 1), (0.2, 1, 0.3), (1, 0.3, 0.2))
    frames = []
    for k, (count, colour) in enumerate(zip((4, 3, 5), colours, strict=True)):
        still = texture(64, 120, 20 + k)
        frames += [(still[:, j : j + 96] * colour).astype(np.uint8) for j in range(count)]
    if kind == "video":
        return write_video(folder / "clip.mp4", frames)
    return write_frames(folder / "clip", frames)


@pytest.mark.parametrize("kind", ["video", "frames"])
def test_each_shot_is_a_scene(
    kind: str, tmp_path: Path, run_here: RunHere, capsys: Captured
) -> None:
    path = shots(kind, tmp_path)
    plain = [f"data={kind}", f"data.path={path}", "stages=[images]"]
    whole = run_here(*plain, name="whole")
    assert scenes(whole) == ["clip"]
    assert "there is a cut before it" in said(capsys)
    run = run_here(*plain, "data.split=cuts", name="parts")
    assert scenes(run) == [f"clip_shot{k}" for k in range(3)]
    assert "3 shots, each a scene (frames): clip_shot0 4, clip_shot1 3, clip_shot2 5" in said(
        capsys
    )
    names = [len(list((run / "dataset" / s / "images").iterdir())) for s in scenes(run)]
    assert names == [4, 3, 5]
    second = np.asarray(Image.open(run / "dataset" / "clip_shot1" / "images" / "00000.png"))
    fifth = np.asarray(Image.open(whole / "dataset" / "clip" / "images" / "00004.png"))
    assert (second == fifth).all()


def test_a_clip_without_cuts_keeps_its_name(tmp_path: Path, run_here: RunHere) -> None:
    clip = write_frames(tmp_path / "clip", sliding(6, 64, 96))
    run = run_here("data=frames", f"data.path={clip}", "stages=[images]", "data.split=cuts")
    assert scenes(run) == ["clip"]


def test_splitting_needs_a_bound(tmp_path: Path, run_here: RunHere) -> None:
    clip = write_frames(tmp_path / "clip", sliding(2, 64, 96))
    with pytest.raises(UserError, match=r"data\.split=cuts needs verdict\.cut"):
        run_here("data=frames", f"data.path={clip}", "data.split=cuts", "verdict.cut=null")
