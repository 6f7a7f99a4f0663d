"""Scenes that fail while others go on: ``data.on_scene_error=skip``."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynprep.errors import UserError
from dynprep.pipeline.scene_failures import SceneFailures
from tests.conftest import RunHere, sliding, write_frames

STAGES = "stages=[masks]"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three scenes with masks, of which those of the second have another size, which is found out when one is read."""
    for k, name in enumerate(("first", "second", "third")):
        write_frames(tmp_path / "clips" / name, sliding(3, 64, 96, 2 + k))
        masks = tmp_path / "masks" / name
        masks.mkdir(parents=True)
        for frame in range(3):
            Image.fromarray(np.zeros((64, 96), np.uint8)).save(masks / f"{frame:05d}.png")
    (tmp_path / "masks" / "second" / "00001.png").write_bytes(b"no picture")
    return tmp_path / "clips"


def options(clips: Path, *more: str) -> list[str]:
    masks = next(p for p in clips.parents if (p / "masks").is_dir()) / "masks"
    return [
        "data=frames",
        f"data.path={clips}",
        "masks=folder",
        f"masks.path={masks}",
        STAGES,
        *more,
    ]


def test_the_others_go_on_and_the_failed_one_is_named(
    clips: Path, run_here: RunHere, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match=r"1 of 3 scenes failed, the first: second: .*00001\.png"
    ) as said:
        run_here(*options(clips, "data.on_scene_error=skip"))
    run = tmp_path / "run"
    assert f"data.path={run / 'failed.txt'} tries those again" in str(said.value)
    datasets = sorted(p.name for p in (run / "dataset").iterdir() if p.is_dir())
    assert datasets == ["first", "third"]
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "done" and list(record["failed"]) == ["second"]
    assert set(record["scenes"]) == {"first", "third"}
    lines = (run / "failed.txt").read_text().splitlines()
    assert lines[0].startswith("# ") and lines[1] == str(clips / "second")
    assert not list(run.glob(".failed-*"))
    # once it is mended, the list is what is run
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(tmp_path / "masks" / "second" / "00001.png")
    again = run_here(*options(clips, f"data.path={run / 'failed.txt'}"), name="again")
    assert [p.name for p in (again / "dataset").iterdir() if p.is_dir()] == ["second"]
    assert "failed" in json.loads((again / "run.json").read_text())


def test_without_skip_the_first_one_stops_all(
    clips: Path, run_here: RunHere, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"00001\.png"):
        run_here(*options(clips))
    assert not list((tmp_path / "run").glob("dataset/*"))
    assert not (tmp_path / "run" / "failed.txt").exists()


def test_what_cannot_even_be_looked_at_is_left_out(
    clips: Path, run_here: RunHere, tmp_path: Path
) -> None:
    (clips / "third" / "00001.png").write_bytes(b"no picture")
    plain = ["data=frames", f"data.path={clips}", "masks=none", STAGES, "data.on_scene_error=skip"]
    with pytest.raises(UserError, match="1 of 3 scenes failed, the first: third"):
        run_here(*plain)
    assert len(list((tmp_path / "run" / "dataset").iterdir())) >= 2


def test_where_every_scene_fails_the_run_does(
    clips: Path, run_here: RunHere, tmp_path: Path
) -> None:
    only = options(clips / "second", "data.on_scene_error=skip")
    with pytest.raises(UserError, match=r"1 of 1 scenes failed.*none is left"):
        run_here(*only)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


@pytest.mark.thorough
def test_several_processes_say_which_scene_failed(
    clips: Path, run_fresh_cli: Callable, tmp_path: Path
) -> None:
    done = run_fresh_cli(
        *options(
            clips, "data.on_scene_error=skip", "trainer=ddp_cpu", "logger=none", "dataset_dir=ds"
        )
    )
    assert done.returncode != 0 and "1 of 3 scenes failed, the first: second" in done.stderr
    assert sorted(p.name for p in (tmp_path / "ds").iterdir()) == ["first", "third"]


def test_the_first_reason_counts(tmp_path: Path) -> None:
    failures = SceneFailures(tmp_path / "notes")
    assert failures.read() == {}
    failures.add("a", "one")
    failures.add("b", "two\nlines")
    failures.add("a", "three")
    assert failures.read() == {"a": "one", "b": "two\nlines"}
