"""What ``data.path`` names, and which part of the scenes a shard takes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprep.commands.as_typed import as_typed
from dynprep.errors import UserError
from dynprep.scene.paths import check_shard, given_paths, of_shard


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.mp4", "c [1].mp4"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_a_list_names_paths_from_its_own_folder(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips.parent)
    file = clips / "list.txt"
    file.write_text(f"# why\nb.mp4\n\n{clips}/a.mp4\n  c [1].mp4\n")
    assert given_paths(str(file), "") == [clips / "b.mp4", clips / "a.mp4", clips / "c [1].mp4"]
    file.write_text("# nothing\n")
    with pytest.raises(UserError, match="lists no path"):
        given_paths(str(file), "")
    file.write_text("d.mp4\n")
    with pytest.raises(UserError, match=r"d\.mp4: no such file or folder; check .*list\.txt"):
        given_paths(str(file), "")


def test_patterns_and_names_that_look_like_one(clips: Path) -> None:
    assert given_paths(f"{clips}/[ab].mp4", "") == [clips / "a.mp4", clips / "b.mp4"]
    assert given_paths(f"{clips}/c [1].mp4", "") == [clips / "c [1].mp4"]
    with pytest.raises(UserError, match="matches no file"):
        given_paths(f"{clips}/*.avi", "")
    with pytest.raises(UserError, match=r"no such file or folder; check data\.path"):
        given_paths(f"{clips}/z.mp4", "")
    with pytest.raises(
        UserError, match=r"not set; say where the frames are, e\.g\. data\.path=dog\.mp4"
    ):
        given_paths(None, "dog.mp4")


@given(st.lists(st.integers(), min_size=1, max_size=40), st.integers(1, 9))
def test_shards_share_out_every_scene_once(items: list[int], count: int) -> None:
    numbered = list(enumerate(items))
    taken = []
    for number in range(min(count, len(items))):
        part = of_shard(numbered, f"{number}/{count}")
        assert [k % count for k, _ in part] == [number] * len(part)
        taken += part
    assert sorted(taken) == numbered
    if count > len(items):
        with pytest.raises(UserError, match=f"there are {len(items)} scenes"):
            of_shard(numbered, f"{count - 1}/{count}")
    assert of_shard(numbered, None) == numbered


@pytest.mark.parametrize("shard", ["3/3", "a/2", "1", "-1/2", "0/0", "1/2/3"])
def test_what_is_no_shard_is_refused(shard: str) -> None:
    with pytest.raises(ValueError, match="k/n is meant"):
        check_shard(shard)


def test_a_range_is_all_shards_of_a_multirun() -> None:
    assert as_typed(["data.shard=range:3"], True) == ["data.shard=0/3,1/3,2/3"]
    for arguments in (["data.shard=range:3"], ["data.shard=range:0"]):
        with pytest.raises(UserError, match="is for a multirun"):
            as_typed(arguments, False)
