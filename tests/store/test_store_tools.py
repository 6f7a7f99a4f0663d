"""What is in a store, what uses it, and what may go."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dynprep.commands.store import main
from dynprep.errors import UserError
from tests.conftest import PROVENANCE, SMALL, RunHere, tree

pytestmark = pytest.mark.usefixtures("small_store")
Tool = Callable[..., tuple[int, str]]


@pytest.fixture
def tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tool:
    """Run a store command on the test's store; gives its status and what it printed."""

    def call(*arguments: object, answer: str | None = None) -> tuple[int, str]:
        import io

        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer or ""))
        status = main(["--store", str(tmp_path / "store"), *map(str, arguments)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return call


def test_only_what_nobody_uses_is_removed(run_here: RunHere, tool: Tool, tmp_path: Path) -> None:
    a = run_here(*SMALL, name="a")
    b = run_here(*SMALL, "alignment=lstsq", name="b")
    assert "nothing to remove" in tool("gc")[1]
    shutil.rmtree(a)
    kept = tree(b / "dataset", PROVENANCE)
    status, told = tool("gc", answer="no\n")
    assert status == 1 and "nothing was removed" in told and "remove them? [y/N]" in told
    assert len(list((tmp_path / "store" / "alignment").iterdir())) == 2
    status, told = tool("gc", "--yes")
    assert status == 0 and "removed" in told
    assert len(list((tmp_path / "store" / "alignment").iterdir())) == 1
    assert len(list((tmp_path / "store" / "depth").iterdir())) == 1
    assert tree(b / "dataset", PROVENANCE) == kept
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*.npy")}
    run_here(*SMALL, "alignment=lstsq", name="b")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*.npy")} == before
    assert "nothing to remove" in tool("gc")[1]


def test_a_dataset_keeps_its_results_when_the_run_is_gone(
    run_here: RunHere, tool: Tool, tmp_path: Path
) -> None:
    run_here(*SMALL, f"dataset_dir={tmp_path / 'out'}", name="a")
    shutil.rmtree(tmp_path / "a")
    assert "nothing to remove" in tool("gc")[1]
    shutil.rmtree(tmp_path / "out")
    assert tool("gc", "--yes")[0] == 0
    assert not list((tmp_path / "store").glob("depth/*"))


def test_a_run_that_comes_while_the_question_stands_keeps_its_results(
    run_here: RunHere, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(run_here(*SMALL, name="a"))

    def meanwhile(_: str) -> str:
        run_here(*SMALL, name="b")
        return "y"

    monkeypatch.setattr("builtins.input", meanwhile)
    status, told = tool("gc")
    assert status == 0 and "somebody uses it now" in told
    before = len(list((tmp_path / "store").glob("*/*/result.json")))
    run_here(*SMALL, name="c")
    assert len(list((tmp_path / "store").glob("*/*/result.json"))) == before


def test_two_runs_in_one_folder_keep_both_datasets(
    run_here: RunHere, tool: Tool, tmp_path: Path
) -> None:
    run_here(*SMALL, f"dataset_dir={tmp_path / 'one'}", name="a")
    run_here(*SMALL, "alignment=lstsq", f"dataset_dir={tmp_path / 'two'}", name="a")
    assert "nothing to remove" in tool("gc")[1]
    shutil.rmtree(tmp_path / "one")
    tool("gc", "--yes")
    assert len(list((tmp_path / "store" / "alignment").iterdir())) == 1


def test_damage_is_found(run_here: RunHere, tool: Tool, tmp_path: Path) -> None:
    run_here(*SMALL)
    assert tool("verify") == (0, "every file is as it was written\n")
    (victim,) = (tmp_path / "store").glob("alignment/*/00002.npy")
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1] + b"\1")
    status, told = tool("verify")
    assert status == 1
    assert f"{victim.parent}: item 00002 is not as it was written" in told


def test_a_scene_moves_to_another_machine(run_here: RunHere, tool: Tool, tmp_path: Path) -> None:
    a = run_here(*SMALL, name="a")
    status, told = tool("export", a, "demo", tmp_path / "other")
    assert status == 0 and "results" in told
    moved = {p: p.stat().st_mtime_ns for p in (tmp_path / "other").rglob("*.npy")}
    b = run_here(*SMALL, f"store_dir={tmp_path / 'other'}", name="b")
    assert (
        moved.items()
        <= {p: p.stat().st_mtime_ns for p in (tmp_path / "other").rglob("*.npy")}.items()
    )
    assert tree(a / "dataset", PROVENANCE) == tree(b / "dataset", PROVENANCE)
    for note in (tmp_path / "other" / "references").iterdir():
        if note.read_text().count('"pinned": true'):
            kept = note
    shutil.rmtree(b)
    assert "nothing to remove" in tool("--store", tmp_path / "other", "gc", "--yes")[1], kept
    status, told = tool("export", a / "dataset", "demo", tmp_path / "third")
    assert status == 0 and (tmp_path / "third" / "depth").is_dir()
    with pytest.raises(UserError, match="has no scene 'nobody'; there is demo"):
        tool("export", a, "nobody", tmp_path / "other")


def test_stores_of_two_machines_become_one(run_here: RunHere, tool: Tool, tmp_path: Path) -> None:
    run_here(*SMALL, name="a")
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "store", other, ignore=shutil.ignore_patterns("locks", "references"))
    b = run_here(*SMALL, "alignment=lstsq", f"store_dir={other}", name="b")
    lacking = tree(other)
    status, told = tool("merge", other)
    assert status == 0 and " from " in told
    assert {k: v for k, v in tree(other).items() if not k.startswith("locks/")} == {
        k: v for k, v in lacking.items() if not k.startswith("locks/")
    }  # it stays as it is
    assert len(list((tmp_path / "store" / "alignment").iterdir())) == 2
    assert "nothing to remove" in tool("gc", "--yes")[1]  # what b uses counts here, too
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*.npy")}
    c = run_here(*SMALL, "alignment=lstsq", name="c")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*.npy")} == before
    assert tree(b / "dataset", PROVENANCE) == tree(c / "dataset", PROVENANCE)
    assert tool("merge", other)[1].startswith("0 results")
    with pytest.raises(UserError, match="is this store itself"):
        tool("merge", tmp_path / "store")
    with pytest.raises(UserError, match="no such store"):
        tool("merge", tmp_path / "nowhere")


def test_results_are_counted(run_here: RunHere, tool: Tool, tmp_path: Path) -> None:
    run_here(*SMALL, name="a")
    begun = tmp_path / "store" / "depth" / ("0" * 32)
    begun.mkdir()
    status, told = tool("stat")
    lines = {line.split()[0]: line.split()[1:] for line in told.splitlines()[1:-1]}
    assert status == 0 and lines["depth"] == ["1", "1"] and lines["alignment"] == ["1"]
    assert int(lines["all"][0]) == sum(int(v[0]) for k, v in lines.items() if k != "all")
    assert "1 runs have used it" in told


def test_damaged_scores_are_made_again(run_here: RunHere, tmp_path: Path) -> None:
    good = (run_here(*SMALL, name="a") / "scores.json").read_text()
    for victim in (tmp_path / "store").glob("scores/*/scores.json"):
        victim.chmod(0o644)
        victim.write_text(victim.read_text().replace("1", "2"))
    assert (run_here(*SMALL, name="b") / "scores.json").read_text() == good


def test_lists_fit_a_terminal(run_here: RunHere, tool: Tool) -> None:
    run_here(*SMALL)
    for name in ("ls", "du"):
        status, told = tool(name)
        assert status == 0 and "tracks" in told
        assert all(len(line) <= 80 for line in told.splitlines())
