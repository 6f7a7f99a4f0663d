"""The command line: its verbs, its flags, configurations of the user's own."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynprep import __version__
from dynprep.commands import COMMANDS
from dynprep.commands.job import flags_first
from tests.conftest import ROOT, SMALL, fresh_cli, runner

Main = Callable[..., subprocess.CompletedProcess[str]]
QUIET = ["logger=none", "report.page=false"]
MASKS = [*SMALL, "data.count=3", "stages=[masks]", "masks=none", *QUIET]


def one_line(done: subprocess.CompletedProcess[str], said: str) -> None:
    """It failed, and said why in one line on standard error."""
    assert done.returncode == 1 and not done.stdout, (done.stdout, done.stderr)
    assert done.stderr.startswith("dynprep: ") and done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr, done.stderr


# verbs ----------------------------------------------------------------------------------------


def test_the_version(run_main: Main) -> None:
    done = run_main("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"dynprep {__version__}\n", "")


def test_the_version_takes_no_imports() -> None:
    """What takes seconds to import is not imported, so this and every verb's mistakes answer at once."""
    code = "import sys; sys.argv[1:] = ['--version']; from dynprep.commands import main; main()\n"
    code += "assert not {'torch', 'hydra', 'numpy', 'cv2'} & set(sys.modules)"
    done = subprocess.run(
        ["python3", "-c", code], executable=shutil.which("python3"), cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_verbs_are_these() -> None:
    assert list(COMMANDS) == [
        "run",
        "compare",
        "store",
        "reproduce",
        "backends",
        "validate",
        "export",
        "check",
        "unpack",
        "push",
        "pick",
        "cite",
    ]


@pytest.mark.parametrize(
    ("verb", "word"),
    [
        ("compare", "folders of runs or sweeps"),
        ("store", "{stat,ls,du,verify,gc,export,merge}"),
        ("run", "data=video data.path="),
    ],
)
def test_help_of_a_verb(verb: str, word: str, run_main: Main) -> None:
    done = run_main(verb, "--help")
    assert done.returncode == 0 and word in done.stdout, (done.stdout, done.stderr)


def test_help_without_a_verb_is_runs(run_main: Main) -> None:
    assert run_main("--help").stdout == run_main("run", "--help").stdout


def test_help_names_choices_alone(run_main: Main) -> None:
    done = run_main("--help")
    assert "alltracker_tiny" in done.stdout
    assert not re.search(r"(^|[,:] )_\w", done.stdout, re.M)  # shared parts are no choices


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "nowhere"], "nowhere"),
        (["store", "ls"], "outputs/store: no such store; name it with --store FOLDER"),
        (["reproduce"], "name one run's folder"),
        (["reproduce", "a", "b"], "name one run's folder"),
        (["reproduce", "nowhere"], "nowhere"),
        (["backends", "depth"], "leave out depth"),
        (["validate"], "name folders of scenes"),
        (["validate", "--all"], "name folders of scenes"),
        (["validate", "nowhere"], "nowhere: no scene of a dataset"),
        (["check", "--all"], "--all is no option of it"),
        (["check", "depth=midas"], "depth=midas: no such choice"),
        (["check", "flow.rat=4"], "flow.rat: no such option; did you mean flow.rate"),
        (["run", "flow.rat=4"], "flow.rat: no such option; did you mean flow.rate"),
        (["stages=[flow]"], "there is no stage 'flow'; the stage of group flow is tracks"),
        (["stages=[trcks]"], "did you mean tracks"),
        (["run", "stages=[]"], "stages is empty"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], said: str, run_main: Main) -> None:
    one_line(run_main(*arguments), said)


@pytest.mark.parametrize("verb", ["compare", "store"])
def test_a_verb_without_arguments_shows_how_it_is_used(verb: str, run_main: Main) -> None:
    done = run_main(verb)
    assert done.returncode == 2 and f"usage: dynprep {verb}" in done.stderr


def test_the_front_doors_are_the_same(tmp_path: Path) -> None:
    """In processes of their own: a checkout's run.py, and its exit status for a mistake."""
    assert fresh_cli(tmp_path, "--version").stdout == f"dynprep {__version__}\n"
    one_line(fresh_cli(tmp_path, "validate", "nowhere"), "nowhere")


# flags ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], []),
        (["a=1", "-m"], ["-m", "a=1"]),
        (["a=1", "-m", "b=2,3"], ["-m", "a=1", "b=2,3"]),
        (["a=1", "--config-dir", "x", "b=2"], ["--config-dir", "x", "a=1", "b=2"]),
        (["a=1", "--config-dir=x", "b=2"], ["--config-dir=x", "a=1", "b=2"]),
        (["a=1", "-cd", "x", "-m"], ["-cd", "x", "-m", "a=1"]),
        (["a=1", "--cfg", "job", "--resolve"], ["--cfg", "job", "--resolve", "a=1"]),
        (["a=1", "--cfg"], ["--cfg", "a=1"]),
        (["++a=1", "~b", "-h"], ["-h", "++a=1", "~b"]),
    ],
)
def test_flags_come_first(given: list[str], meant: list[str]) -> None:
    assert flags_first(given) == meant
    assert flags_first(meant) == meant


@pytest.mark.parametrize("place", [0, 1, 99])
def test_a_multirun_wherever_the_flag_stands(place: int, run_main: Main, tmp_path: Path) -> None:
    arguments = [*MASKS, "masks=none", "seed=0,1", "hydra.sweep.dir=sweep", "compare.page=false"]
    arguments.insert(min(place, len(arguments)), "-m")
    done = run_main(*arguments)
    assert done.returncode == 0, done.stderr
    records = [json.loads((tmp_path / "sweep" / k / "run.json").read_text()) for k in "01"]
    assert [r["config"]["seed"] for r in records] == [0, 1]
    assert (tmp_path / "sweep" / "comparison.csv").is_file()


def test_two_alignments_behind_the_overrides(run_main: Main, tmp_path: Path) -> None:
    options = [*SMALL, "data.count=3", "masks=none", "depth=parallax", *QUIET, "compare.page=false"]
    stages = "stages=[masks,metric_depth,depth,alignment]"
    done = run_main(*options, stages, "alignment=median,huber", "-m", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    reports = [
        json.loads((tmp_path / "sweep" / k / "dataset" / "demo" / "alignment.json").read_text())
        for k in "01"
    ]
    assert [r["method"] for r in reports] == ["median", "huber"]


# configurations of the user's own -------------------------------------------------------------

MINE = """# @package _global_
# mine
defaults:
  - override /masks: none
flow:
  rate: 32
"""


def mine(folder: Path) -> None:
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text(MINE)


@pytest.mark.parametrize("flags", [[], ["--config-dir", "elsewhere"], ["--config-dir=elsewhere"]])
def test_an_experiment_of_the_users(flags: list[str], run_main: Main, tmp_path: Path) -> None:
    mine(tmp_path / ("elsewhere" if flags else "conf"))
    options = ["data.count=3", "data.height=96", "data.width=160", "stages=[masks]", *QUIET]
    done = run_main(*options, "experiment=mine", *flags, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["choices"]["masks"] == "none" and record["config"]["flow"]["rate"] == 32
    assert record["choices"]["experiment"] == "mine"


def test_a_backend_of_the_users_is_swept_and_listed(run_main: Main, tmp_path: Path) -> None:
    (tmp_path / "conf" / "masks").mkdir(parents=True)
    (tmp_path / "conf" / "masks" / "mine.yaml").write_text(
        "# mine\n_target_: dynprep.backends.masks.empty.EmptyMasks\n"
    )
    assert "\nmine " in run_main("backends").stdout
    options = [*MASKS[:-4], "stages=[masks]", *QUIET, "hydra.sweep.dir=sweep", "compare.page=false"]
    done = run_main("-m", *options, "masks=none,mine")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sweep" / "1" / "dataset" / "demo" / "masks" / "00002.png").is_file()
    one_line(run_main("-m", *options, "masks=none,mne"), "masks=mne: no such choice")


def test_a_choice_that_is_not_there_names_those_that_are(run_main: Main, tmp_path: Path) -> None:
    mine(tmp_path / "conf")
    one_line(run_main("experiment=mne"), "experiment=mne: no such choice; did you mean mine?")
    one_line(run_main("masks=_base"), "masks=_base: no such choice")


# validate -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good")
    return runner(root)(*SMALL, "data.count=3", "flow.formats=[npy,pth]") / "dataset" / "demo"


def test_a_good_dataset_has_no_fault(good: Path, run_main: Main) -> None:
    done = run_main("validate", str(good))
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.splitlines()[-1] == f"{good}: 3 frames, no fault"
    assert f"{good}/masks: masks by motion, key " in done.stdout
    folders = json.loads((good / "dynprep.json").read_text())["folders"]
    assert len(done.stdout.splitlines()) == len(folders) + 1


def _nan(path: Path) -> None:
    values = np.load(path)
    values.flat[5] = np.nan
    np.save(path, values)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _smaller(path: Path) -> None:
    Image.fromarray(np.asarray(Image.open(path))[:-2]).save(path)


def _npz(path: Path) -> None:
    arrays = dict(np.load(path))
    arrays["positions"][0, 0, 0] = np.inf
    np.savez(path, **arrays)


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "NaN in metric depth": ("unidepth_disp/00001.npy", _nan, "00001.npy: holds NaN or infinity"),
    "NaN in tracks": ("alltracker/00000_00002.npy", _nan, "00000_00002.npy: holds NaN"),
    "infinity in points": ("points/bg.npz", _npz, "bg.npz: holds NaN or infinity"),
    "a missing mask": ("masks/00001.png", Path.unlink, "masks: 1 of 3 files are missing, e.g. 00001"),
    "a missing pair": ("alltracker/00002_00000.pth", Path.unlink, "alltracker: 1 of 18 files are"),
    "a missing frame": ("images/00001.png", Path.unlink, "images: stems are not numbers of one"),
    "a mask of another size": ("masks/00002.png", _smaller, "00002.png: is (160, 94), the frames"),
    "a map of another size": (
        "aligned_depth_anything_v2/00000.npy", lambda p: np.save(p, np.load(p)[1:]),
        "00000.npy: is float32 (95, 160); float32 (96, 160) is meant",
    ),
    "a map in doubles": (
        "marigold/depth_npy/00000_pred.npy", lambda p: np.save(p, np.load(p).astype(np.float64)),
        "00000_pred.npy: is float64",
    ),
    "a map cut short": ("unidepth_disp/00001.npy", _cut, "00001.npy: not a complete .npy file"),
    "a picture cut short": ("images/00001.png", _cut, "00001.png: not a complete PNG or JPEG"),
    "a note among the frames": (
        "images/note.txt", lambda p: p.write_text("x"), "images: holds other files too, e.g. note.txt",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_found(what: str, good: Path, run_main: Main, tmp_path: Path) -> None:
    name, damage, said = DAMAGES[what]
    broken = tmp_path / "broken"
    shutil.copytree(good, broken)
    path = broken / name
    if path.exists():
        path.chmod(0o644)  # files of a dataset are read-only
    damage(path)
    done = run_main("validate", str(broken), str(good))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert any(line.startswith(f"dynprep: {broken}: ") and said in line for line in lines), lines
    # the other one is still said to be good
    assert f"{good}: 3 frames, no fault" in done.stdout and "Traceback" not in done.stderr


def _intrinsics(scene: Path, change: Callable[[dict], object]) -> None:
    path = scene / "unidepth_intrins.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.chmod(0o644)
    path.write_text(json.dumps(rows))


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.pop("00001"),
        lambda rows: rows.update({"00001": [1.0, 1.0, float("nan"), 1.0]}),
        lambda rows: rows.update({"00001": [1.0, 1.0]}),
    ],
)
def test_damaged_intrinsics_are_found(
    change: Callable[[dict], object], good: Path, run_main: Main, tmp_path: Path
) -> None:
    shutil.copytree(good, tmp_path / "broken")
    _intrinsics(tmp_path / "broken", change)
    done = run_main("validate", str(tmp_path / "broken"))
    assert done.returncode == 1 and "unidepth_intrins.json" in done.stderr


def test_a_dataset_without_provenance_is_validated(
    good: Path, run_main: Main, tmp_path: Path
) -> None:
    shutil.copytree(good, tmp_path / "plain")
    (tmp_path / "plain" / "dynprep.json").unlink()
    done = run_main("validate", str(tmp_path / "plain"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "alltracker: dynprep.json beside it does not say" in done.stderr
