"""What is in a store, what uses it, and what may go."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dynprep.store.__main__ import main
from tests.conftest import PROVENANCE, SMALL, RunHere, tree

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
        monkeypatch.setattr(
            sys, "argv", ["store", "--store", str(tmp_path / "store"), *map(str, arguments)]
        )
        status = main()
        told = capsys.readouterr()
        return status, told.out + told.err

    return call


def test_only_what_nobody_uses_is_removed(run_here: RunHere, tool: Tool, tmp_path: Path) -> None:
    a = run_here(*SMALL, name="a")
    b = run_here(*SMALL, "alignment=huber", name="b")
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
    run_here(*SMALL, "alignment=huber", name="b")
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
    status, told = tool("export", a, "nobody", tmp_path / "other")
    assert status == 1 and "has no scene 'nobody'; there is demo" in told


def test_lists_fit_a_terminal(run_here: RunHere, tool: Tool) -> None:
    run_here(*SMALL)
    for name in ("ls", "du"):
        status, told = tool(name)
        assert status == 0 and "flow" in told
        assert all(len(line) <= 80 for line in told.splitlines())
