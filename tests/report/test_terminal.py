"""What a run shows on a terminal of 80 columns, and where it leaves its traces."""

import re
from pathlib import Path

import pytest

from tests.conftest import SMALL
from tests.processes import Forked

_LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]*)\x1b\\")
_CODE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def watched(tmp_path: Path, small_store: Path):
    """Runs the command line on a terminal; gives its status, what was written, and its lines as they are seen."""

    def run(*arguments: str) -> tuple[int, str, list[str]]:
        done = Forked(
            tmp_path, *arguments, f"store_dir={small_store}", "dataset_dir=out", columns=80,
            env={"TERM": "xterm-256color"},
        ).wait()  # fmt: skip
        plain = _CODE.sub("", _LINK.sub("", done.stderr))
        return done.returncode, done.stderr, [line.rstrip() for line in re.split(r"[\r\n]+", plain)]

    return run


def test_a_run_fits_80_columns_and_says_what_goes_on(watched, tmp_path: Path) -> None:
    status, written, lines = watched(
        *SMALL, "logger=csv", "report.page=true", "masks.noise_factor=3.1", "report.points=500"
    )
    assert status == 0, written[-2000:]
    places = {
        line.split()[0]: str(tmp_path / line.split()[1])
        for line in lines
        if re.match(r"(dataset|report) +[^ ━]+$", line)
    }
    assert set(places) == {"dataset", "report"} and all(Path(p).exists() for p in places.values())
    wide = [
        line
        for line in lines
        if len(line) > 80 and not line.startswith(("dataset ", "report ", "verdict "))
    ]
    assert not wide
    assert "demo: 8 frames of 160x96" in lines
    for what in ("verdict", "dataset", "scores", "consistency", "pictures", "page", "csv"):
        assert any(re.match(rf"{what} +━", line) for line in lines), what
    links = _LINK.findall(written)
    for place in places.values():
        assert Path(place).absolute().as_uri() in links


def test_the_helpers_that_run_are_named_with_the_reason(watched, tmp_path: Path) -> None:
    status, _, lines = watched(*SMALL, "logger=none", "stages=[masks]", "data.end=7")
    assert status == 0
    (line,) = [line for line in lines if line.startswith("also runs ")]
    text = " ".join(lines[lines.index(line) : lines.index(line) + 3])
    assert "optical_flow" in text and "for masks" in text


def test_the_last_run_has_a_name_and_a_refused_one_leaves_nothing(watched, tmp_path: Path) -> None:
    for wrong in (["depth=nope"], ["flow.rate=0"], ["data=video", "data.path=/nowhere.mp4"]):
        status, _, lines = watched(*SMALL, *wrong)
        assert status == 1 and all(len(line) <= 80 for line in lines)
    assert not (tmp_path / "outputs").exists()
    for name in ("first", "second"):
        assert watched(*SMALL, "logger=none", "report.page=false", "stages=[images]")[0] == 0
        latest = tmp_path / "outputs" / "runs" / "latest"
        runs = sorted(p.parent for p in (tmp_path / "outputs" / "runs").glob("2*/*/run.json"))
        assert latest.is_symlink() and latest.resolve() == runs[-1].resolve(), name
    assert len(runs) == 2
    assert watched(*SMALL, "depth.nope=1")[0] == 1
    assert latest.resolve() == runs[-1].resolve()


def test_what_is_not_a_runs_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dynprep.latest import point_to_latest
    from dynprep.record import forget_refused

    # a refused run in a folder that the user named, or that holds something else, stays
    for name, more in (("mine", None), ("outputs/runs/2026-01-02/03-04-05", "notes.txt")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        if more is not None:
            (folder / more).write_text("mine")
        forget_refused(folder)
        assert (folder / "run.json").is_file()
    # one in the usual place goes, with the empty folders above it, but never through a link
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "outputs").symlink_to(tmp_path / "elsewhere")
    folder = tmp_path / "work" / "outputs" / "runs" / "2026-01-02" / "03-04-05"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "work")
    forget_refused(Path("outputs/runs/2026-01-02/03-04-05"))
    assert not (tmp_path / "elsewhere" / "runs").exists() and (tmp_path / "elsewhere").is_dir()
    assert (tmp_path / "work" / "outputs").is_symlink()
    # a link of the user's that is called latest is no link of dynprep's
    runs = tmp_path / "exp" / "runs"
    (runs / "named").mkdir(parents=True)
    for target in ("/somewhere/else", "../mine"):
        (runs / "latest").symlink_to(target)
        point_to_latest(runs / "named")
        assert (runs / "latest").readlink() == Path(target)
        (runs / "latest").unlink()
    (runs / "latest").mkdir()
    point_to_latest(runs / "named")
    assert not (runs / "latest").is_symlink()
    (runs / "latest").rmdir()
    point_to_latest(runs / "named")
    assert (runs / "latest").resolve() == (runs / "named").resolve()
