"""Stops, damage, changed options and company: what is redone, and what is not."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import PROVENANCE, SMALL, RunHere, tree
from tests.processes import Forked

STAGES = (
    "images", "optical_flow", "camera_path", "parallax", "masks", "metric_depth", "depth",
    "alignment_fits", "alignment", "prior", "tracks", "points", "cameras",
)  # fmt: skip

# every kind: the first, whole scenes, frames, views of others, pairs
KILLED = ("optical_flow", "parallax", "tracks")
KILLED_TOO = ("images", "alignment")


def keys(store: Path) -> dict[str, list[str]]:
    aside = ("locks", "references", "scores", "media", "verdicts")
    return {
        d.name: sorted(k.name for k in d.iterdir())
        for d in store.iterdir()
        if d.is_dir() and d.name not in aside
    }


def stamps(store: Path) -> dict[str, int]:
    return {str(p.relative_to(store)): p.stat().st_mtime_ns for p in store.rglob("*.np*")}


def test_second_run_computes_nothing(run_here: RunHere, tmp_path: Path) -> None:
    first = run_here(*SMALL, name="a")
    before = stamps(tmp_path / "store")
    second = run_here(*SMALL, name="b")
    assert stamps(tmp_path / "store") == before
    assert tree(first / "dataset", PROVENANCE) == tree(second / "dataset", PROVENANCE)


@pytest.mark.usefixtures("small_store")
def test_changed_option_recomputes_what_depends_on_it(run_here: RunHere, tmp_path: Path) -> None:
    run_here(*SMALL, name="a")
    before = keys(tmp_path / "store")
    run_here(*SMALL, "depth.sigma=9.0", "trainer.writers=1", "batch_size=3", name="b")
    after = keys(tmp_path / "store")
    changed = {stage for stage in after if after[stage] != before.get(stage)}
    assert changed == {"depth", "alignment_fits", "alignment", "prior", "points"}


@pytest.mark.usefixtures("small_store")
def test_truncated_file_is_made_again(run_here: RunHere, tmp_path: Path) -> None:
    first = tree(run_here(*SMALL, name="a") / "dataset", PROVENANCE)
    (victim,) = (tmp_path / "store" / "depth").glob("*/00003.npy")
    before = stamps(tmp_path / "store")
    victim.chmod(0o644)
    os.truncate(victim, 100)
    second = tree(run_here(*SMALL, name="b") / "dataset", PROVENANCE)
    assert first == second
    redone = {k for k, v in stamps(tmp_path / "store").items() if v != before[k]}
    assert {Path(k).name for k in redone} == {"00003.npy"}


@pytest.mark.usefixtures("small_store")
def test_changed_bytes_are_mended(run_here: RunHere, tmp_path: Path) -> None:
    good = tree(run_here(*SMALL, name="a") / "dataset", PROVENANCE)
    (victim,) = (tmp_path / "store" / "alignment").glob("*/00002.npy")
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-4] + b"\0\0\0\0")
    assert tree(run_here(*SMALL, name="b") / "dataset", PROVENANCE) == good


@pytest.mark.thorough
def test_same_bytes_for_other_batches_and_seeds_of_speed(run_here: RunHere, tmp_path: Path) -> None:
    a = run_here(*SMALL, "batch_size=1", f"store_dir={tmp_path / 's1'}", name="a")
    b = run_here(
        *SMALL,
        "batch_size=4",
        "trainer.deterministic=true",
        f"store_dir={tmp_path / 's2'}",
        name="b",
    )
    assert tree(a / "dataset", PROVENANCE) == tree(b / "dataset", PROVENANCE)


def wait_for_work(store: Path, stage: str, process: Forked) -> bool:
    """Wait until ``stage`` has begun to write; False if the process ended before."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        # begun: its folder is there, not yet sealed
        if any(not (d / "result.json").exists() for d in (store / stage).glob("*")):
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    raise AssertionError(f"{stage} did not begin")


@pytest.mark.slow
@pytest.mark.parametrize(
    "stages", [KILLED, pytest.param((*KILLED, *KILLED_TOO), marks=pytest.mark.thorough)]
)
def test_kill_in_every_kind_of_stage_then_rerun_gives_the_same_bytes(
    stages: tuple[str, ...], tmp_path: Path
) -> None:
    options = [
        *SMALL,
        "data.count=10",
        "data.width=240",
        "data.height=160",
        "logger=none",
        "report.page=false",
    ]
    store = tmp_path / "killed"

    def start(where: Path, out: str) -> Forked:
        return Forked(tmp_path, *options, f"store_dir={where}", f"dataset_dir={tmp_path / out}")

    assert start(tmp_path / "calm", "calm_out").wait().returncode == 0
    killed = []
    for stage in stages:
        process = start(store, "killed_out")
        if wait_for_work(store, stage, process):
            process.kill()
            killed.append(stage)
        process.wait()
    # very short stages may be over before they are seen
    assert set(KILLED) <= set(killed)
    assert start(store, "killed_out").wait().returncode == 0
    assert tree(tmp_path / "killed_out", PROVENANCE) == tree(tmp_path / "calm_out", PROVENANCE)
    assert not list(store.rglob(".tmp-*")) and not list((tmp_path / "killed_out").rglob(".tmp-*"))


@pytest.mark.slow
def test_two_processes_share_one_store(tmp_path: Path) -> None:
    store = tmp_path / "store"

    def start(out: str) -> Forked:
        return Forked(
            tmp_path, *SMALL, "logger=none", f"store_dir={store}", f"dataset_dir={tmp_path / out}"
        )

    both = [process.wait() for process in [start("a"), start("b")]]
    said = [done.stderr for done in both]
    assert [done.returncode for done in both] == [0, 0], said
    assert tree(tmp_path / "a", PROVENANCE) == tree(tmp_path / "b", PROVENANCE)
    # each stage's items were made by exactly one of the two
    made = [len(re.findall(r": \d+ items in \d", text)) for text in said]
    assert sum(made) == len(STAGES) + 1, said


Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.thorough
def test_two_processes_of_one_run_give_the_same_bytes(
    run_cli: Cli, run_here: RunHere, tmp_path: Path
) -> None:
    alone = run_here(*SMALL)
    done = run_cli(
        *SMALL,
        "trainer=ddp_cpu",
        "trainer.devices=2",
        "logger=none",
        "dataset_dir=out",
        "store_dir=s2",
    )
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "out", PROVENANCE) == tree(alone / "dataset", PROVENANCE)


@pytest.mark.thorough
def test_multirun_with_two_processes_shares_results(run_cli: Cli, tmp_path: Path) -> None:
    done = run_cli(
        "-m", *SMALL, "alignment=median,huber", "trainer=ddp_cpu", "logger=none", "store_dir=store",
        "hydra.sweep.dir=sweep",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = {stage: len(k) for stage, k in keys(tmp_path / "store").items()}
    assert counts["depth"] == counts["tracks"] == 1 and counts["alignment"] == 2
    for job in ("0", "1"):
        assert (
            len(list((tmp_path / "sweep" / job / "dataset" / "demo" / "alltracker").iterdir()))
            == 64
        )


@pytest.mark.thorough
def test_jobs_of_a_sweep_do_not_overwrite_each_other(run_cli: Cli, tmp_path: Path) -> None:
    done = run_cli(
        "-m", *SMALL, "stages=[masks]", "masks.least_motion=0.2,0.3", "logger=none", "store_dir=store",
        "hydra.sweep.dir=sweep", "dataset_dir=OUT",
    )  # fmt: skip
    assert done.returncode != 0
    assert "another job of this sweep writes it" in done.stderr.splitlines()[-1]
    assert (tmp_path / "OUT" / "demo" / "masks" / "00007.png").is_file()


@pytest.mark.usefixtures("small_store")
def test_notes_are_told_again_when_nothing_runs(run_here: RunHere, tmp_path: Path) -> None:
    for name in ("first", "second"):
        folder = run_here(*SMALL, "metric_depth=parallax", "report.page=true", name=name)
        assert "NOT metric" in (folder / "report.html").read_text()
