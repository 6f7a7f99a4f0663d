"""Multiruns through the real command line: shared work, failures, launchers, kills, searches."""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from dynprep.launchers.needs import needs_device
from tests.conftest import PROVENANCE, ROOT, SMALL, cli, composed, fresh_cli, tree
from tests.processes import Forked

QUICK = [*SMALL, "logger=csv", "report.page=false", "compare.width=64", "hydra.sweep.dir=sweep"]
WITHOUT_FOLDER = QUICK[:-1]
# for what is the same whatever jobs compute
SHORT = [*QUICK, "data.count=4", "prior=none", "points=none", "flow.rate=32"]
ALIGNMENTS = "alignment=median,huber"


def records(folder: Path) -> dict[str, dict]:
    return {p.parent.name: json.loads(p.read_text()) for p in sorted(folder.glob("*/run.json"))}


def made(folder: Path) -> Counter[str]:
    """Items made by stage, in all jobs together."""
    total: Counter[str] = Counter()
    for record in records(folder).values():
        for stage in record.get("stages", []):
            total[stage["name"]] += stage["made"]
    return total


def stamps(store: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in store.rglob("*") if p.name == "result.json"}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """A sweep of four jobs, of which two cannot work."""
    folder = tmp_path_factory.mktemp("swept")
    wrong = [
        "alignment.inlier_share=0.1,-1",
        "logger=wandb",
        "logger.samples=1",
        "dataset.link=hard",
    ]
    done = cli(folder, "-m", *QUICK, ALIGNMENTS, *wrong)
    return folder, done


def test_failed_jobs_are_named_and_the_others_go_on(
    swept: tuple[Path, subprocess.CompletedProcess],
) -> None:
    folder, done = swept
    assert done.returncode == 1
    status = {job: r["status"] for job, r in records(folder / "sweep").items()}
    assert status == {"0": "done", "1": "failed", "2": "done", "3": "failed"}
    lines = done.stderr.splitlines()
    at_once = [k for k, line in enumerate(lines) if line.startswith("dynprep: job 2/4 failed: ")]
    last = [
        k
        for k, line in enumerate(lines)
        if line.startswith("dynprep: job 2/4 (folder 1) is not done")
    ]
    assert len(at_once) == len(last) == 1
    assert "inlier_share is -1" in lines[last[0]]
    assert "Traceback" not in done.stderr
    # at once: before the next job has said what it does
    assert any("huber" in line for line in lines[at_once[0] : last[0]])


def test_jobs_are_told_apart_and_take_a_line_a_stage(
    swept: tuple[Path, subprocess.CompletedProcess],
) -> None:
    lines = swept[1].stderr.splitlines()
    labels = [line for line in lines if re.match(r"job \d/4 a", line)]
    expected = [
        f"job {n}/4 alignment={a} alignment.inlier_share={share}"
        for n, (a, share) in enumerate(
            ((a, s) for a in ("median", "huber") for s in ("0.1", "-1")), 1
        )
    ]
    assert labels == [expected[0], expected[2]] or labels == expected
    first = lines[
        lines.index(labels[0]) + 1 : next(
            k for k, x in enumerate(lines) if x.startswith("job 1/4 done")
        )
    ]
    stages = [line.split()[0] for line in first if line.startswith("  ")]
    assert len(stages) == len(set(stages)) == 14
    done = [line for line in lines if re.match(r"job [13]/4 done in [\d.]+ s", line)]
    assert not any(line.startswith("wandb") or "wandb sync" in line for line in lines)
    assert len(done) == 2 and all("depth off the truth" in line for line in done)
    # what both jobs have to say of the same results is said once
    warned = [line for line in lines if line.startswith("! ")]
    assert warned and len(warned) == len(set(warned))


def test_what_jobs_share_is_computed_once(swept: tuple[Path, subprocess.CompletedProcess]) -> None:
    folder, _ = swept
    total = made(folder / "sweep")
    once = {"images": 1, "masks": 1, "metric_depth": 8, "depth": 8, "tracks": 8}
    assert {k: total[k] for k in once} == once
    assert (total["alignment"], total["points"]) == (16, 2)
    datasets = [folder / "sweep" / job / "dataset" / "demo" for job in "02"]
    files = [sorted(tree(d)) for d in datasets]
    assert files[0] == files[1]
    assert "alltracker/00000_00007.npy" in files[0]
    same = [(d / "depth_anything_v2" / "00003.png").stat().st_ino for d in datasets]
    assert same[0] == same[1]


def test_tables_say_what_differs(swept: tuple[Path, subprocess.CompletedProcess]) -> None:
    folder, done = swept
    with (folder / "sweep" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["0", "2"]
    assert [row["alignment"] for row in rows] == ["median", "huber"]
    name = "alignment/absrel/depth/none/static"
    scores = [records(folder / "sweep")[row["run"]]["scores"]["demo"][name] for row in rows]
    assert [float(row[name]) for row in rows] == scores
    latex = (folder / "sweep" / "comparison.tex").read_text()
    assert latex.count("\\\\") == 3 and "\\textbf" in latex and "_" not in latex.replace("\\_", "")
    table = done.stderr[done.stderr.index("\ncomparison  ") : done.stderr.index("\ntables ")]
    assert "huber" in table and all(len(line) <= 80 for line in table.splitlines())


def test_each_job_is_one_wandb_run_of_one_group(
    swept: tuple[Path, subprocess.CompletedProcess],
) -> None:
    folder, _ = swept
    runs = sorted(folder.rglob("run-*.wandb"))
    homes = sorted(str(p.relative_to(folder / "sweep")).split("/")[0] for p in runs)
    assert homes == ["0", "2", "wandb"]  # two jobs that worked, and their comparison
    group = "/".join((folder / "sweep").parts[-2:]).encode()
    assert all(group in path.read_bytes() for path in runs)


def test_the_same_command_again_computes_nothing(
    swept: tuple[Path, subprocess.CompletedProcess],
) -> None:
    folder, _ = swept
    before = stamps(folder / "outputs" / "store")
    again = ["hydra.sweep.dir=again", "logger.samples=1"]
    done = cli(folder, "-m", *WITHOUT_FOLDER, ALIGNMENTS, *again)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sum(made(folder / "again").values()) == 0
    after = stamps(folder / "outputs" / "store")
    assert {k: after[k] for k in before} == before
    # not even a picture
    assert {Path(k).parents[1].name for k in after.keys() - before.keys()} <= {"agreement", "media"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param("parallel", marks=pytest.mark.thorough),
        pytest.param("submitit_local", marks=pytest.mark.thorough),
        pytest.param("ray", marks=pytest.mark.thorough),
    ],
)
def test_launchers_share_work_too(launcher: str, tmp_path: Path) -> None:
    needs = {"parallel": "joblib", "submitit_local": "submitit", "ray": "ray"}
    pytest.importorskip(needs[launcher])
    wrong = launcher == "submitit_local"
    jobs = "alignment.inlier_share=0.1,0.2,-1" if wrong else ALIGNMENTS
    # as users start it: launchers end their processes when Python exits
    done = fresh_cli(tmp_path, "-m", *SHORT, jobs, f"hydra/launcher={launcher}")
    assert done.returncode == wrong, done.stderr[-3000:]
    total = made(tmp_path / "sweep")
    once = {"images": 1, "masks": 1, "metric_depth": 4, "depth": 4, "tracks": 4}
    assert {k: total[k] for k in once} == once
    assert total["alignment"] == 8
    first = "alignment.inlier_share=0.1" if wrong else "alignment=median"
    count = 3 if wrong else 2
    assert f"job 1/{count} {first} done" in done.stderr
    assert (
        "items in" not in done.stderr and "made, " not in done.stderr
    )  # which is in the jobs' own files
    assert "made, " in (tmp_path / "sweep" / "0" / "terminal.log").read_text()
    if wrong:
        assert "job 3/3 failed: alignment.inlier_share is -1; it must be above 0" in done.stderr
    assert (tmp_path / "sweep" / "comparison.html").is_file()


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("pgrep") is None, reason="needs pgrep")
def test_a_job_that_its_cluster_takes_back_begins_again_and_goes_on(tmp_path: Path) -> None:
    """Slurm sends TERM and CONT when it preempts a job, and USR2 before that and before its time is over."""
    pytest.importorskip("submitit")
    job = [*SHORT, "data.count=16", "hydra/launcher=submitit_local"]
    whole = Forked(tmp_path, "-m", *job, "alignment=median")
    store = tmp_path / "outputs" / "store"
    deadline = time.time() + 120
    while time.time() < deadline and not list(store.glob("depth/*/index*")):
        time.sleep(0.05)
    pattern = f"submitit.core._submit {tmp_path}"
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=True)
    before = stamps(store)
    for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2):
        for process in map(int, found.stdout.split()):  # readers of frames are sent them, too
            os.kill(process, number)
    done = whole.wait()
    assert done.returncode == 0, done.stderr[-3000:]
    after = stamps(store)
    assert {k: after[k] for k in before if "result.json" in k} == {
        k: v for k, v in before.items() if "result.json" in k
    }
    [log] = (tmp_path / "sweep" / ".submitit").glob("*/*_log.out")
    assert log.read_text().count("Starting with") == 2
    assert [r["status"] for r in records(tmp_path / "sweep").values()] == ["done"]


def ray_workers() -> list[int]:
    """Processes of Ray that do a job, without the readers that they forked."""
    titles: dict[int, tuple[str, int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            title = (path / "cmdline").read_text()
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(path.name)] = title, parent
    busy = {number for number, (title, _) in titles.items() if title.startswith("ray::_Worker.run")}
    return sorted(number for number in busy if titles[number][1] not in busy)


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_lost_worker_of_a_ray_cluster_is_made_up_for(tmp_path: Path) -> None:
    """Two workers do four jobs; one is killed in the middle of its job, which is begun again and goes on."""
    pytest.importorskip("ray")
    cluster = ["hydra/launcher=ray", "hydra.launcher.cpus=1", "hydra.launcher.workers=2"]
    jobs = "alignment.inlier_share=0.1,0.2,0.3,0.4"
    # as users start it: Ray ends its processes when Python exits
    command = [sys.executable, str(ROOT / "run.py"), "-m", *SHORT, *cluster, jobs]
    sweep = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    workers: list[int] = []
    killed = False
    deadline = time.time() + 120
    while sweep.poll() is None:
        assert time.time() < deadline or sweep.kill()
        workers += [number for number in ray_workers() if number not in workers]
        if not killed and list((tmp_path / "outputs/store").glob("depth/*/index*")):
            os.kill(workers[0], signal.SIGKILL)
            killed = True
        time.sleep(0.02)
    _, said = sweep.communicate()
    assert sweep.returncode == 0 and killed, said[-3000:]
    assert [r["status"] for r in records(tmp_path / "sweep").values()] == ["done"] * 4
    assert len(workers) == 3  # two, and the one that took the place of the one that was lost
    total = made(tmp_path / "sweep")
    assert total["alignment"] == 16


def test_a_ray_cluster_that_is_not_there_and_wrong_options_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    for option, words in (
        ("hydra.launcher.address=127.0.0.1:1", "no Ray cluster answers there"),
        ("hydra.launcher.cpus=0", "cpus must be above 0"),
    ):
        done = cli(tmp_path, "-m", *SHORT, "hydra/launcher=ray", option, ALIGNMENTS)
        assert done.returncode == 1 and words in done.stderr, done.stderr[-2000:]
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        ((), False),
        (("depth=depth_anything_v2_small",), True),
        (("depth=depth_anything_v2_small", "stages=[masks]"), False),
        (("flow=alltracker_tiny", "stages=[tracks]"), True),
        (("alignment.inlier_share=-1",), True),  # the job refuses that itself
    ],
)
def test_a_job_that_runs_no_network_is_placed_without_a_gpu(
    overrides: tuple[str, ...], needed: bool
) -> None:
    places = ("dataset_dir=a", "store_dir=b")
    config, choices = composed((*overrides, *places))
    # as a launcher sees it, before there is a folder for the job
    config |= {"dataset_dir": "${hydra:runtime.output_dir}", "store_dir": "${hydra:runtime.cwd}"}
    whole = OmegaConf.create({**config, "hydra": {"runtime": {"choices": choices}}})
    assert isinstance(whole, DictConfig)
    assert needs_device(whole) is needed


@pytest.mark.thorough
def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    first = Forked(tmp_path, "-m", *QUICK, ALIGNMENTS, own_group=True)
    sealed = tmp_path / "outputs" / "store"
    deadline = time.time() + 200
    while time.time() < deadline and not list(sealed.glob("depth/*/result.json")):
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = stamps(sealed)
    assert any("/depth/" in name for name in before)
    assert not any(r["status"] == "done" for r in records(tmp_path / "sweep").values())
    done = cli(tmp_path, "-m", *QUICK, ALIGNMENTS)
    assert done.returncode == 0, done.stderr[-2000:]
    after = stamps(sealed)
    assert {k: after[k] for k in before} == before
    assert {r["status"] for r in records(tmp_path / "sweep").values()} == {"done"}
    whole = cli(
        tmp_path, "-m", *WITHOUT_FOLDER, ALIGNMENTS, "store_dir=other", "hydra.sweep.dir=whole"
    )
    assert whole.returncode == 0
    for job in "01":
        folders = [tmp_path / name / job / "dataset" for name in ("sweep", "whole")]
        assert tree(folders[0], PROVENANCE) == tree(folders[1], PROVENANCE)


@pytest.mark.thorough
def test_a_search_finds_the_best_setting(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    stages = "stages=[masks,metric_depth,depth,alignment]"
    done = cli(tmp_path, "-m", *SHORT, stages, "experiment=search", "hydra.sweeper.n_trials=4")
    assert done.returncode == 0, done.stderr[-3000:]
    import yaml

    best = yaml.safe_load((tmp_path / "sweep" / "optimization_results.yaml").read_text())
    name = "alignment/delta1/depth/none/static"
    values = [r["scores"]["demo"][name] for r in records(tmp_path / "sweep").values()]
    assert len(values) == 4
    assert best["best_value"] == max(values)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("best ")]
    assert f"alignment={best['best_params']['alignment']} " in line
    assert line.endswith(f"objective {max(values):.4g}")
    assert "job 4/4 " in done.stderr


@pytest.mark.slow
def test_jobs_that_die_or_cannot_start_are_named(tmp_path: Path) -> None:
    done = cli(tmp_path, "-m", *SHORT, "seed=0,${nope}", "flow.formats=[pth]")
    assert done.returncode == 1
    assert "dynprep: job 2/2 failed: Interpolation key 'nope' not found" in done.stderr
    assert "job 2/2 (folder 1) is not done" in done.stderr
    assert (tmp_path / "sweep" / "comparison.html").is_file()
    arguments = ["-m", *QUICK, "alignment=median,huber,lstsq", "hydra/launcher=parallel"]
    sweep = Forked(tmp_path, *arguments, own_group=True)
    deadline = time.time() + 100
    began = time.time_ns()
    victim = None
    while victim is None and time.time() < deadline:
        time.sleep(0.1)
        for path in (tmp_path / "sweep").glob("*/run.json"):
            if path.stat().st_mtime_ns > began:
                victim = json.loads(path.read_text())["process"]
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    done = sweep.wait()
    told = done.stderr
    assert done.returncode == 1
    assert "is not done: ended without a word" in told
    assert "run the same command again to go on" in told


def test_a_choice_that_is_not_there_stops_before_any_job(tmp_path: Path) -> None:
    done = cli(tmp_path, "-m", *QUICK, "alignment=median,hubr")
    assert done.returncode == 1
    assert done.stderr.strip() == "dynprep: alignment=hubr: no such choice; did you mean huber?"
    assert not (tmp_path / "sweep").exists()
