"""Results survive crashes, damage and company."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dynprep.errors import UserError
from dynprep.files import sha256
from dynprep.store import Recipe, Result, Store

RECIPE = Recipe("depth", "some", 1, 1, {"a": 1}, None, {"images": "0"})


def fill(result: Result, names: list[str]) -> None:
    for name in names:
        writer = result.writer(name)
        writer.array(f"{name}.npy", np.arange(100, dtype=np.float32))
        writer.note(f"note of {name}")
        result.add(writer)


@pytest.fixture
def result(tmp_path: Path) -> Result:
    result = Store(tmp_path / "store").result(RECIPE)
    result.begin({})
    return result


def test_key_follows_everything_that_decides_bytes() -> None:
    others = [
        replace(RECIPE, **change)
        for change in (
            {"stage": "masks"},
            {"backend": "other"},
            {"kind_version": 2},
            {"backend_version": 2},
            {"options": {"a": 2}},
            {"weights": "w"},
            {"inputs": {"images": "1"}},
        )
    ]
    assert len({RECIPE.key, *(r.key for r in others)}) == 8
    assert replace(RECIPE, options=dict(RECIPE.options)).key == RECIPE.key


def test_whole_result_is_found(result: Result) -> None:
    fill(result, ["0", "1"])
    assert result.seal() is None
    result.close(["0", "1"], {"seconds": 1.0})
    again = Result(result.folder, RECIPE)
    assert again.seal().recipe.stage == "depth"
    assert again.is_complete(["0", "1"]) and not again.is_complete(["0", "1", "2"])
    assert (again.array("0.npy") == np.arange(100)).all()
    assert again.items()["1"].notes == ["note of 1"]


def test_missing_items_are_loud(result: Result) -> None:
    fill(result, ["0"])
    with pytest.raises(UserError, match="1 of 2 items were not written"):
        result.close(["0", "1"], {})
    assert result.seal() is None


def test_a_line_cut_by_a_crash_costs_one_item(result: Result) -> None:
    fill(result, ["0", "1"])
    (index,) = result.folder.glob(f"index.*-{os.getpid()}.jsonl")
    index.write_bytes(index.read_bytes()[:-20])
    assert set(result.valid_items()) == {"0"}


def test_truncated_file_is_found(result: Result) -> None:
    fill(result, ["0", "1"])
    result.close(["0", "1"], {})
    path = result.file("1.npy")
    path.chmod(0o644)
    os.truncate(path, 50)
    assert set(result.valid_items()) == {"0"}


def test_changed_bytes_of_one_size_are_found(result: Result) -> None:
    fill(result, ["0"])
    result.close(["0"], {})
    path = result.file("0.npy")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert not result.valid_items()
    with pytest.raises(UserError, match=r"0\.npy: is gone or not as it was written"):
        result.array("0.npy")


def test_begin_keeps_sound_items_and_sweeps_temporary_files(result: Result) -> None:
    fill(result, ["0", "1"])
    litter = result.folder / ".tmp-1-half.npy"
    litter.write_bytes(b"half")
    kept = {"0": result.items()["0"]}
    result.begin(kept)
    assert set(result.items()) == {"0"} and not litter.exists()


def test_files_are_read_only_but_a_users_file_keeps_its_mode(
    result: Result, tmp_path: Path
) -> None:
    fill(result, ["0"])
    assert result.file("0.npy").stat().st_mode & 0o222 == 0
    own = tmp_path / "own.png"
    own.write_bytes(b"mine")
    own.chmod(0o640)
    writer = result.writer("x")
    writer.adopt("x.png", own, sha256(own))
    assert own.stat().st_mode & 0o777 == 0o640
    assert not os.path.samefile(own, result.file("x.png"))
    with pytest.raises(UserError, match="was changed while dynprep read it"):
        writer.adopt("y.png", own, "0" * 64)
    assert not result.file("y.png").exists()


def test_same_arrays_give_same_bytes(result: Result) -> None:
    values = {"b": np.ones(3), "a": np.zeros((2, 2))}
    for name in ("one", "two"):
        writer = result.writer(name)
        writer.arrays(f"{name}.npz", **values)
    assert result.file("one.npz").read_bytes() == result.file("two.npz").read_bytes()
