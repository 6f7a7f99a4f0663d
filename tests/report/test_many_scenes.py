"""What is seen of a run, and of a multirun, over many scenes."""

import json
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprep.durations import duration
from dynprep.errors import SceneError, UserError
from dynprep.report.scene_progress import SceneProgress
from tests.browser import opened
from tests.conftest import RunHere, fresh_cli, sliding, write_video
from tests.processes import Forked
from tests.read_wandb import parse

SCENES = 9
QUICK = ("data=video", "data.path=clips", "stages=[masks]", "masks=none", "dataset_dir=OUT")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of nine clips and one that is none."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for k in range(SCENES):
        write_video(folder / f"clip{k}.mp4", sliding(3 + k, 48, 64))
    (folder / "broken.mp4").write_text("no video")
    return folder


@pytest.mark.usefixtures("clips")
@pytest.mark.thorough
def test_a_multirun_of_more_parts_than_clips(tmp_path: Path) -> None:
    # as users start it: a launcher ends its processes when Python exits
    done = fresh_cli(
        tmp_path, "-m", *QUICK, "data.shard=range:12", "data.on_scene_error=skip", "logger=none",
        "hydra/launcher=parallel", "hydra.sweep.dir=sweep", "report.width=48",
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr[-3000:]
    assert "un-serialize" not in done.stderr
    # parts without a scene are done, and what failed is named
    sweep = tmp_path / "sweep"
    records = [json.loads(p.read_text()) for p in sorted(sweep.glob("*/run.json"))]
    assert len(records) == 12 and sum(r["status"] == "done" for r in records) == 11
    assert sum(r["status"] == "done" and not r["scenes"] for r in records) == 2
    assert "broken.mp4: not a video" in done.stderr and "overview    " in done.stderr
    names = [f"clip{k}" for k in range(SCENES)]
    assert sorted(p.name for p in (tmp_path / "OUT").iterdir()) == names
    # a job's log has the name of its scene
    assert {p.name for p in (sweep / "logs").iterdir()} == {f"{name}.log" for name in names}
    assert "data.shard=" in (sweep / "logs" / "clip3.log").read_text().splitlines()[0]
    # one page lists the scenes of all jobs
    with opened((sweep / "overview.html").as_uri(), tmp_path / "profile") as page:
        shown = "[...document.querySelectorAll('tbody tr')].filter(r => !r.hidden)"
        listed = f"return {shown}.map(r => r.cells[1].dataset.value)"
        rows = page.run(listed)
        assert rows[0] == "broken" and len(rows) == SCENES + 1
        page.run("document.querySelectorAll('button[data-by]')[1].click()")  # by frames
        assert page.run(listed)[1:] == names
        page.run("document.querySelectorAll('button[data-by]')[1].click()")
        assert page.run(listed)[0] == names[-1]
        page.run(
            "const f = document.getElementById('filter'); f.value = 'CLIP4'; f.dispatchEvent(new Event('input'))"
        )
        assert page.run(listed) == ["clip4"]
        assert page.run("return document.getElementById('shown').textContent") == "1 of 10 scenes"
        broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).length"
        assert page.run(f"return {broken}") == 0 and page.problems() == []
        page.run("document.querySelector('tbody tr:not([hidden]) a').click()")
        page.wait("document.title === 'dynprep: clip4'")


def test_a_run_of_many_scenes_has_a_table_and_few_pictures(
    clips: Path, run_here: RunHere, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="1 of 10 scenes failed"):
        run_here(
            "data=video", f"data.path={clips}", *QUICK[2:4], "data.on_scene_error=skip",
            "report.page=true", "report.width=48", "logger=wandb", "logger.samples=1", "logger.scenes=3",
        )  # fmt: skip
    out = tmp_path / "run"
    text = (out / "report.html").read_text()
    assert text.count('<tr class="left-out">') == 1 and 'table class="overview' in text
    assert len(list((out / "report").glob("*.jpg"))) == SCENES
    parsed = parse(next(out.glob("wandb/offline-run-*/*.wandb")))
    pictures = [row for row in parsed["history"] if "pictures/images/count" in row]
    assert [int(row["pictures/images/count"]) for row in pictures] == [3]
    counted = [row for row in parsed["history"] if "scenes/done" in row]
    assert counted and {int(row["scenes/failed"]) for row in counted} == {1}


def test_the_terminal_counts_scenes(clips: Path) -> None:
    process = Forked(clips.parent, *QUICK[:-1], "logger=none", "report.page=false", "store_dir=other",
                     "data.on_scene_error=skip", columns=80)  # fmt: skip
    written = process.wait().stderr
    assert re.search(rf"images +[^\n]*\d+/{SCENES} scenes, 1 failed", written), written[-3000:]


def test_a_fault_of_a_scene_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(SceneError("dog", "what is wrong")))
    assert (error.scene, str(error)) == ("dog", "what is wrong")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(0, 200))
def test_scenes_are_counted_when_their_last_item_is_there(sizes: list[int], items: int) -> None:
    progress = SceneProgress({"depth": len(sizes), "tracks": 4}, {"tracks": 10.0})
    assert progress.left() is None
    progress.begin("depth", sizes)
    progress.advance(items)
    assert progress.done == sum(sum(sizes[: k + 1]) <= items for k in range(len(sizes)))
    progress.failed = 2
    assert progress.text().startswith(f"{progress.done}/{len(sizes)} scenes, 2 failed")
    progress.end()
    progress.begin("tracks", [1, 1, 1, 1])
    progress.advance(2)
    left = progress.left()
    assert left is not None and 0 <= left < 60


@given(st.floats(0, 1e6))
def test_a_span_of_time_is_near_what_it_says(seconds: float) -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    words = duration(seconds).split()
    said = sum(int(n) * units[unit] for n, unit in zip(words[::2], words[1::2], strict=True))
    assert abs(said - seconds) <= max(0.5, 60 if seconds >= 60 else 0.5)
