"""Comparisons of runs made at any time, their page, and repeating a run."""

import json
import re
import shutil
from pathlib import Path

import pytest

from dynprep.commands.compare import main
from dynprep.commands.reproduce import reproduce
from tests.browser import opened
from tests.conftest import SMALL, RunHere

pytestmark = pytest.mark.usefixtures("small_store")


@pytest.fixture
def compared(run_here: RunHere, tmp_path: Path) -> Path:
    """The page of two runs."""
    a = run_here(*SMALL, name="a")
    b = run_here(*SMALL, "alignment=lstsq", "flow.rate=16", name="b")
    out = tmp_path / "out"
    arguments = [str(a), str(b), "compare.frames=3", "compare.width=64", "--out", str(out)]
    assert main(arguments) == 0
    return out / "comparison.html"


def test_page_shows_every_result_at_every_frame(compared: Path) -> None:
    page = compared.read_text()
    (data,) = re.findall(r'id="scene0-player">(.*?)</script>', page, re.DOTALL)
    viewer = json.loads(data)
    assert viewer["stems"] == ["00000", "00004", "00007"]
    panels = {group["name"]: len(group["panels"]) for group in viewer["groups"]}
    assert panels == {
        "images": 1, "masks": 1, "metric_depth": 1, "depth": 1, "alignment": 2, "prior": 2, "tracks": 2
    }  # fmt: skip
    for group in viewer["groups"]:
        for panel in group["panels"]:
            assert all(p.startswith("data:image/") for p in panel["frames"])
    assert "Agreement: alignment" in page and "flow.rate" in page
    assert set(re.findall(r'(?:src|href)="([^"]*)', page)) == {"data:,"}  # needs nothing else


def test_page_works_in_a_browser(compared: Path, tmp_path: Path) -> None:
    with opened(compared.as_uri(), tmp_path / "profile") as page:
        page.wait("dynprep.scenes[0].player.drawn === 0")
        captions = "[...document.querySelectorAll('.panels figcaption span:first-child')].map(e => e.textContent)"
        shown = page.run(f"return {captions}")
        assert shown[0] == "Frames" and len(shown) == 3
        assert shown[1].endswith("huber · run a") and shown[2].endswith("lstsq · run b")
        # what is compared has one range, since a wrong scale would not show with one each
        scales = page.run("return [...document.querySelectorAll('.scale')].map(e => e.innerText)")
        assert len(scales) == 2 and scales[0] == scales[1]
        page.run("document.querySelectorAll('[data-group=alignment][data-stem]')[0].click()")
        stem = page.run(
            "return document.querySelector('[data-group=alignment][data-stem]').dataset.stem"
        )
        page.wait(f"dynprep.scenes[0].clock.stems[dynprep.scenes[0].player.drawn] === '{stem}'")
        assert page.problems() == []


def test_columns_of_the_latex_table(
    run_here: RunHere, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = run_here(*SMALL, name="a"), run_here(*SMALL, "alignment=lstsq", name="b")
    arguments = [str(a), str(b), "compare.page=false", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    table = (tmp_path / "out" / "comparison.tex").read_text()
    head = next(line for line in table.splitlines() if line.startswith("run & "))
    assert head.count("&") == 7 and "tabular}{ll" in table
    assert main([*arguments, "--columns", "alignment,tracks/AJ,prior/absrel"]) == 0
    table = (tmp_path / "out" / "comparison.tex").read_text()
    head = next(line for line in table.splitlines() if line.startswith("run & "))
    assert head.startswith("run & alignment & ") and "tracks/AJ" in head and "prior/absrel" in head
    assert (
        "textbf" not in table.split("tracks/AJ")[0]
    )  # tracks are the same in both, so none is best
    capsys.readouterr()
    assert main([*arguments, "--columns", "traks/AJ"]) == 1
    assert (
        "--columns: there is no column traks/AJ; did you mean tracks/AJ" in capsys.readouterr().err
    )


def compare_here(out: Path, *runs: Path) -> str:
    assert main([*map(str, runs), "compare.width=32", "--out", str(out)]) == 0
    return (out / "comparison.html").read_text()


def test_only_the_same_frames_are_laid_side_by_side(run_here: RunHere, tmp_path: Path) -> None:
    masks = [*SMALL, "stages=[masks]"]
    a = run_here(*masks, "data.end=6", name="a")
    b = run_here(*masks, "data.start=2", name="b")
    c = run_here(*masks, "data.start=2", "masks.noise_factor=3.0", name="c")
    page = compare_here(tmp_path / "out", a, b, c)
    assert "demo (run a)" in page and "demo (run b, c)" in page
    assert page.count("<h3>Agreement: masks") == 1


def test_a_number_that_one_run_lacks_is_shown(run_here: RunHere, tmp_path: Path) -> None:
    a = run_here(*SMALL, name="a")
    b = run_here(
        *SMALL, "prior=none", "flow.formats=[pth]", "points=none", "flow.rate=16", name="b"
    )
    page = compare_here(tmp_path / "out", a, b)
    table = page[page.index('id="table"') : page.index("</table>")]
    assert "prior/<br>absrel/" in table
    assert "flow.formats" in table


def test_a_run_that_found_its_inputs_repeats_too(
    run_here: RunHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_here(*SMALL, name="a")
    folder = run_here(*SMALL, "stages=[alignment]", "alignment=lstsq", name="b")
    monkeypatch.chdir(tmp_path)
    assert reproduce(folder) == 0


def test_what_cannot_be_compared_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, said in (
        ([str(tmp_path)], f"dynprep: {tmp_path}: holds no run"),
        ([str(tmp_path), "compare.frmes=3"], "dynprep: compare.frmes: no such option"),
        ([str(tmp_path), "compare.frames=x"], "dynprep: compare.frames=x: a whole number is meant"),
    ):
        assert main(arguments) == 1
        told = capsys.readouterr().err
        assert told.startswith(said) and told.count("\n") == 1


def test_a_run_repeats_to_the_byte(
    run_here: RunHere,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = run_here(*SMALL, "batch_size=4", name="a")
    monkeypatch.chdir(tmp_path)
    assert reproduce(folder) == 0
    told = capsys.readouterr().out
    assert told.count(" same\n") >= 10 and told.endswith("the same bytes\n")
    record = json.loads((folder / "run.json").read_text())
    assert record["environment"]["code"]["commit"]
    # had it been made by another version, with other bytes
    record["environment"]["packages"]["numpy"] = "1.0"
    record["scenes"]["demo"]["results"]["depth"]["sha256"] = "0" * 64
    (folder / "run.json").write_text(json.dumps(record))
    shutil.rmtree(tmp_path / "outputs" / "reproductions")
    assert reproduce(folder) == 1
    told = capsys.readouterr().out
    assert "demo/depth              differs\n" in told and "package numpy: 1.0 then" in told
    assert told.endswith("NOT the same bytes\n")
