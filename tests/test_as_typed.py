"""What people type on the command line, and what it means."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynprep.commands.as_typed import as_typed, refuse_several_choices
from dynprep.conf_folder import CONF
from dynprep.errors import UserError
from tests.conftest import sliding, write_frames, write_video


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of clips with names that people give them, which is the working folder and the home."""
    for name in ("dog.mp4", "my clips (1)/one.mp4", "my clips (1)/two.mp4", "it's, [a] dog.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "bear" / "images").mkdir(parents=True)
    (tmp_path / "bear" / "masks").mkdir()
    (tmp_path / "cat" / "images").mkdir(parents=True)
    (tmp_path / "frames").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["dog.mp4"], ["data=video", "data.path=dog.mp4"]),
        (["depth=parallax", "dog.mp4"], ["depth=parallax", "data=video", "data.path=dog.mp4"]),
        (["frames"], ["data=frames", "data.path=frames"]),
        (
            ["bear"],
            [
                "data=frames",
                "data.path=bear/images",
                "data.name=bear",
                "masks=folder",
                "masks.path=bear/masks",
            ],
        ),
        (["cat/"], ["data=frames", "data.path=cat/images", "data.name=cat"]),
        (["data.path=dog.mp4"], ["data.path=dog.mp4"]),
        (["data.path=my clips (1)/one.mp4"], ["data.path='my clips (1)/one.mp4'"]),
        (
            ["data.path=~/my clips (1)/*.mp4"],
            ["data.path=['{home}/my clips (1)/one.mp4','{home}/my clips (1)/two.mp4']"],
        ),
        (["data.path=it's, [a] dog.mp4"], ["data.path='it\\'s, [a] dog.mp4'"]),
        (["dataset_dir=~/out"], ["dataset_dir={home}/out"]),
        (["masks.path=nowhere, at all"], ["masks.path=nowhere, at all"]),
        (["data.path=[dog.mp4,cat.mp4]"], ["data.path=[dog.mp4,cat.mp4]"]),
        (["stages=masks,depth"], ["stages=[masks,depth]"]),
        (["stages=[masks,depth]"], ["stages=[masks,depth]"]),
        (["nowhere.mp4"], ["nowhere.mp4"]),
        (["--config-dir", "frames", "-cd", "bear"], ["--config-dir", "frames", "-cd", "bear"]),
    ],
)
def test_what_is_typed_and_what_it_means(typed: list[str], meant: list[str], here: Path) -> None:
    assert as_typed(typed, False) == [word.format(home=here) for word in meant]


def test_in_a_multirun_stages_are_swept(here: Path) -> None:
    assert as_typed(["-m", "stages=masks,depth"], True) == ["-m", "stages=masks,depth"]


def test_several_choices_without_m_are_refused() -> None:
    with pytest.raises(UserError, match=r"alignment=median,huber: these are several jobs; add -m"):
        refuse_several_choices(["alignment=median,huber"], [CONF])
    refuse_several_choices(["layout=[adagar,colmap]", "flow.formats=[npy,pth]", "x=1,2"], [CONF])


def test_a_clip_by_its_name_alone(run_main: Callable[..., Any], tmp_path: Path) -> None:
    write_video(tmp_path / "a dog (1).mp4", list(sliding(4, 96, 128)))
    common = (
        "stages=masks,cameras",
        "poses.scale=none",
        "logger=none",
        "dataset_dir=OUT",
        "store_dir=S",
    )
    done = run_main("a dog (1).mp4", *common)
    assert done.returncode == 0, done.stderr
    (scene,) = (tmp_path / "OUT").iterdir()
    assert len(list((scene / "images").iterdir())) == 4
    write_frames(tmp_path / "bear" / "images", list(sliding(4, 96, 128)))
    write_frames(tmp_path / "bear" / "masks", [np.full((96, 128, 3), 255, np.uint8)] * 4)
    done = run_main("bear", *common)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "OUT" / "bear" / "masks" / "00000.png").is_file()


def test_several_choices_are_one_line(run_main: Callable[..., Any]) -> None:
    done = run_main("alignment=median,huber")
    assert done.returncode == 1 and "add -m" in done.stderr and done.stderr.count("\n") == 1


def test_a_list_is_no_sweep() -> None:
    from dynprep.commands.job import let_swept_options_through

    words = ["-m", "alignment=median,huber", "layout=[adagar,colmap]"]
    assert let_swept_options_through(words, [CONF]) == words
