"""A dataset folder that is written a second time: what stays as it is, what moves along, what is made anew."""

import json
import os
from pathlib import Path

import pytest

from dynprep.errors import UserError
from dynprep.export.claims import Claims
from tests.conftest import SMALL, RunHere


def states(scene: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of the last change of every file."""
    files = (p for p in scene.rglob("*") if p.is_file())
    return {
        p.relative_to(scene).as_posix(): (os.lstat(p).st_ino, os.lstat(p).st_ctime_ns)
        for p in files
    }


@pytest.mark.usefixtures("small_store")
@pytest.mark.parametrize("link", ["hard", "symlink", "copy"])
def test_a_folder_that_holds_what_is_wanted_is_left_alone(run_here: RunHere, link: str) -> None:
    scene = run_here(*SMALL, f"dataset.link={link}") / "dataset" / "demo"
    before = states(scene)
    run_here(*SMALL, f"dataset.link={link}")
    assert states(scene) == before


@pytest.mark.usefixtures("small_store")
def test_a_file_that_was_removed_comes_back(run_here: RunHere) -> None:
    scene = run_here(*SMALL) / "dataset" / "demo"
    for name in ("masks/00003.png", "alignment.json", "verdict.json"):
        held = (scene / name).read_bytes()
        (scene / name).unlink()
        run_here(*SMALL)
        assert (scene / name).read_bytes() == held


@pytest.mark.usefixtures("small_store")
def test_another_link_kind_or_setting_is_laid_out(run_here: RunHere) -> None:
    scene = run_here(*SMALL, "dataset.link=copy") / "dataset" / "demo"
    run_here(*SMALL, "dataset.link=hard")
    assert (scene / "masks" / "00003.png").stat().st_nlink > 1
    first = json.loads((scene / "dynprep.json").read_text())
    run_here(*SMALL, "dataset.link=hard", "verdict.tiny=0.9")  # every mask is tiny now
    second = json.loads((scene / "dynprep.json").read_text())
    assert first["link"] == second["link"] == "hard"
    assert second["verdict"]["findings"] > first["verdict"]["findings"]
    assert second["run"]["started"] > first["run"]["started"]


@pytest.mark.usefixtures("small_store")
def test_copies_that_are_there_already_move_along(run_here: RunHere, tmp_path: Path) -> None:
    scene = run_here(*SMALL, "dataset.link=copy") / "dataset" / "demo"
    elsewhere = tmp_path / "elsewhere.png"
    os.link(
        scene / "masks" / "00002.png", elsewhere
    )  # a user's: it must not change with the dataset
    before = states(scene)
    run_here(*SMALL, "dataset.link=copy", "alignment=median")
    after = states(scene)
    aligned = [name for name in after if name.startswith("aligned_")]
    unchanged = [n for n in after if n.startswith(("images/", "masks/", "alltracker/"))]
    unchanged.remove("masks/00002.png")
    assert unchanged and all(after[name][0] == before[name][0] for name in unchanged)
    assert aligned and all(after[name][0] != before[name][0] for name in aligned)
    assert not os.path.samefile(elsewhere, scene / "masks" / "00002.png")
    assert {p.stat().st_nlink for p in scene.rglob("*") if p.is_file()} == {1}


def test_a_folder_belongs_to_the_first_job_of_a_multirun_that_claims_it(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "dog"
    Claims(tmp_path, "launch 1", "0").take(folder)
    Claims(tmp_path, "launch 1", "0").take(folder)  # a job that was requeued
    Claims(tmp_path, "launch 1", "1").take(tmp_path / "out" / "cat")
    with pytest.raises(UserError, match=r"another job of this sweep writes it.*hydra:job\.num"):
        Claims(tmp_path, "launch 1", "1").take(folder)
    Claims(tmp_path, "launch 2", "1").take(folder)  # the same folder of a later multirun
    with pytest.raises(UserError, match="another job"):
        Claims(tmp_path, "launch 2", "0").take(folder)
