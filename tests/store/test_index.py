"""The index of a store: it makes listing quick, and nothing depends on it."""

from pathlib import Path

import pytest

from dynprep.store import Recipe, Store
from dynprep.store.index import INDEX, read_rows
from dynprep.store.result import SEAL
from dynprep.store.tools import contents, remove, unused


def filled(root: Path, count: int = 5) -> Store:
    store = Store(root)
    for k in range(count):
        recipe = Recipe("depth", "made", options={"number": k})
        store.cached(recipe, lambda writer: writer.json("a.json", [1, 2, 3]), is_view=False)
    return store


def listed(store: Store) -> list[tuple[str, int, str]]:
    return sorted((r.key, r.bytes, r.backend) for r in contents(store))


def test_a_seal_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    first = listed(store)
    assert len(read_rows(store.root)) == 5
    files = list(store.root.glob("depth/*/*"))
    assert sum(size for _, size, _ in first) == sum(p.stat().st_size for p in files)
    monkeypatch.setattr("dynprep.store.tools.read_seal", None)  # calling it fails
    assert listed(store) == first


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_it_may_go_or_be_damaged(content: bytes | None, tmp_path: Path) -> None:
    store = filled(tmp_path)
    first = listed(store)
    index = store.root / INDEX
    index.unlink() if content is None else index.write_bytes(content)
    assert listed(store) == first
    assert listed(Store(tmp_path)) == first


def test_a_seal_that_changed_is_read_again_and_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    store = filled(tmp_path)
    contents(store)
    one, other, *_ = sorted((store.root / "depth").iterdir())
    (one / SEAL).write_text("{}")  # says nothing any more
    assert one.name not in {r.key for r in contents(store)}
    gone, busy = remove(store, [r for r in unused(store) if r.key == other.name])
    assert len(gone) == 1 and not busy and not other.exists()
    assert len(contents(store)) == 3
    assert {key for _, key in read_rows(store.root)} == {r.key for r in contents(store)}


def test_a_store_that_cannot_be_written_is_listed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path)
    (store.root / INDEX).mkdir()  # SQLite cannot open a folder, whoever asks
    assert len(contents(store)) == 5
