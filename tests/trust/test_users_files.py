"""Nothing of the user's is changed, linked writably or removed."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynprep import durable
from dynprep.commands.store import main as store_command
from dynprep.errors import UserError
from dynprep.export import swap
from dynprep.export.manifest import Manifest
from dynprep.links import LinkKind, place
from dynprep.scene.pictures import FramesSource
from dynprep.scene.source import RawFrame, Selection
from tests.conftest import PROVENANCE, SMALL, RunHere, sliding, tree, write_frames

MASKS_ALONE = ["stages=[masks]", "masks=none"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_frames(tmp_path / "scene" / "images", sliding(4, 64, 96))


def all_inodes(folder: Path) -> set[int]:
    return {p.stat().st_ino for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("link", ["auto", "hard", "reflink", "symlink", "copy"])
def test_no_file_of_the_users_is_linked(
    link: str, run_here: RunHere, tmp_path: Path, clip: Path
) -> None:
    before = tree(clip)
    data = ["data=frames", f"data.path={clip}", f"dataset.link={link}", *MASKS_ALONE]
    shown = run_here(*data) / "dataset" / "scene" / "images" / "00001.png"
    own = all_inodes(clip)
    assert not own & all_inodes(tmp_path / "store") and shown.stat().st_ino not in own
    assert shown.read_bytes() == before["00001.png"]
    # an edit of the original reaches nothing
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(clip / "00001.png")
    assert shown.read_bytes() == before["00001.png"]
    run_here(*data, name="again")
    edited = tmp_path / "again" / "dataset" / "scene" / "images" / "00001.png"
    assert edited.read_bytes() == (clip / "00001.png").read_bytes()


@pytest.mark.parametrize("kind", ["hard", "reflink", "symlink", "copy"])
def test_every_kind_of_link_shows_the_content_read_only(kind: LinkKind, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "inner" / "target"
    source.write_bytes(b"content")
    source.chmod(0o444)
    place(source, target, kind)
    assert target.read_bytes() == b"content" and not target.stat().st_mode & 0o222
    assert target.is_symlink() == (kind == "symlink")
    assert (target.stat().st_ino == source.stat().st_ino) == (kind in ("hard", "symlink"))


def test_a_link_that_cannot_be_becomes_a_read_only_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_disk)
    (tmp_path / "source").write_bytes(b"content")
    place(tmp_path / "source", tmp_path / "target", "hard")
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o444


def test_writing_into_a_copied_dataset_changes_neither_store_nor_others(
    run_here: RunHere, tmp_path: Path
) -> None:
    first = run_here(*SMALL, "dataset.link=copy", name="a") / "dataset" / "demo"
    second = run_here(*SMALL, "dataset.link=copy", name="b") / "dataset" / "demo"
    stored, other = tree(tmp_path / "store"), tree(second, PROVENANCE)
    victim = first / "unidepth_disp" / "00002.npy"
    victim.chmod(0o644)
    np.save(victim, np.zeros((96, 160), np.float32))
    assert tree(tmp_path / "store") == stored and tree(second, PROVENANCE) == other
    # the edit is the user's: it is not overwritten
    with pytest.raises(UserError, match=r"1 files were changed .* unidepth_disp/00002\.npy"):
        run_here(*SMALL, "dataset.link=copy", "masks=none", name="a")
    assert not np.load(victim).any()


def test_a_users_map_of_the_same_size_is_not_ours(run_here: RunHere) -> None:
    scene = run_here(*SMALL) / "dataset" / "demo"
    victim = scene / "unidepth_disp" / "00003.npy"
    victim.unlink()
    np.save(victim, np.full((96, 160), 7, np.float32))
    with pytest.raises(
        UserError, match=r"changed since dynprep wrote them, e\.g\. unidepth_disp/00003"
    ):
        run_here(*SMALL, "metric_depth.fill=nearest")
    assert (np.load(victim) == 7).all()


def test_a_frame_that_changes_while_it_is_read_is_noticed(clip: Path) -> None:
    def source() -> FramesSource:
        selection = Selection(0, None, 1, None, None)
        return FramesSource(clip, "scene", selection, "fail", "black", 24.0)

    looked_at = source()
    identity = looked_at.identity()
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(clip / "00002.png")
    frames: list[RawFrame] = []
    with pytest.raises(UserError, match=r"00002\.png: was changed while dynprep read the frames"):
        frames.extend(looked_at.frames())
    assert len(frames) == 2
    assert source().identity() != identity


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", ".hidden", "a\nb", "x" * 300, "\udcff"])
def test_a_scene_is_one_folder_in_dataset_dir(name: str, run_here: RunHere, tmp_path: Path) -> None:
    path = write_frames(tmp_path / "clip", sliding(2, 64, 96))
    with pytest.raises(UserError, match=r"data.*name"):
        run_here("data=frames", f"data.path={path}", *MASKS_ALONE, f"data.name='{name}'")
    assert not (tmp_path / "run" / "dataset").exists()


def test_a_video_called_dots_writes_nothing_outside(run_here: RunHere, tmp_path: Path) -> None:
    path = tmp_path / "...mp4"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"data\.name"):
        run_here("data=video", f"data.path={path}", *MASKS_ALONE)


@pytest.mark.parametrize(
    "names",
    [
        ["masks=./images"], ["masks=images/sub"], ["intrinsics=images/00000.png"],
        ["masks=dynprep.json"], ["tracks=points"], ["masks=../x"], ["masks=/x"], ["masks=.hidden"],
        ["tracks=alignment.json/tracks"], ["masks=a//b/../../images"],
    ],
)  # fmt: skip
def test_names_of_a_layout_do_not_collide(names: list[str], run_here: RunHere) -> None:
    with pytest.raises(UserError, match="layout: "):
        run_here(*SMALL, *MASKS_ALONE, *(f"layout.{name}" for name in names))


@pytest.mark.parametrize("inner", ["store/data", "data/store", "both"])
def test_store_and_dataset_do_not_lie_in_each_other(
    inner: str, run_here: RunHere, tmp_path: Path
) -> None:
    store, dataset = {"store/data": ("s", "s/d"), "data/store": ("d/s", "d"), "both": ("x", "x")}[
        inner
    ]
    with pytest.raises(UserError, match="lie one in the other"):
        run_here(
            *SMALL,
            *MASKS_ALONE,
            f"store_dir={tmp_path / store}",
            f"dataset_dir={tmp_path / dataset}",
        )


class TestGarbageCollection:
    """It removes unused results of the store, and nothing else."""

    def gc(self, folder: Path) -> int:
        return store_command(["--store", str(folder), "gc", "--yes"])

    def aged(self, folder: Path) -> Path:
        """The folder, two days old."""
        for path in [*folder.rglob("*"), folder]:
            os.utime(
                path, (path.stat().st_atime, path.stat().st_mtime - 2e5), follow_symlinks=False
            )
        return folder

    def test_a_folder_that_is_no_store_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "photos" / "summer").mkdir(parents=True)
        (tmp_path / "photos" / "summer" / "1.jpg").write_bytes(b"mine")
        before = tree(self.aged(tmp_path))
        with pytest.raises(UserError, match="no store of dynprep"):
            self.gc(tmp_path)
        assert tree(tmp_path) == before

    def test_a_run_does_not_make_a_folder_with_other_files_its_store(
        self, run_here: RunHere, tmp_path: Path
    ) -> None:
        (tmp_path / "photos" / "summer").mkdir(parents=True)
        with pytest.raises(UserError, match=r"holds other files, e\.g\. photos, and is no store"):
            run_here(*SMALL, f"store_dir={tmp_path}")

    def test_foreign_folders_in_a_store_stay(self, run_here: RunHere, tmp_path: Path) -> None:
        shutil.rmtree(run_here(*SMALL, *MASKS_ALONE, name="gone"))
        store = tmp_path / "store"
        (store / "mine" / "inner").mkdir(parents=True)
        (store / "mine" / "inner" / "file").write_bytes(b"mine")
        (store / "masks" / "notes").mkdir()
        (store / "masks" / "notes" / "file").write_bytes(b"mine")
        (store / "masks" / ("0" * 32)).mkdir()
        (store / "masks" / ("0" * 32) / "file").write_bytes(b"named like a key")
        outside = tmp_path / "outside" / ("1" * 32)
        outside.mkdir(parents=True)
        (outside / "result.json").write_text("{}")
        (store / "masks" / ("1" * 32)).symlink_to(outside)
        (store / "linked").symlink_to(tmp_path / "outside")
        assert self.gc(self.aged(store)) == 0
        assert not list(store.glob("images/*/result.json"))
        assert (store / "mine" / "inner" / "file").exists()
        assert (store / "masks" / "notes" / "file").exists()
        assert (store / "masks" / ("0" * 32) / "file").exists()
        assert (outside / "result.json").exists() and (store / "linked").is_symlink()

    def test_a_result_under_another_results_name_stays(
        self, run_here: RunHere, tmp_path: Path
    ) -> None:
        shutil.rmtree(run_here(*SMALL, *MASKS_ALONE, name="gone"))
        store = tmp_path / "store"
        (kept,) = (store / "masks").iterdir()
        kept.rename(store / "masks" / ("2" * 32))
        self.gc(self.aged(store))
        assert (store / "masks" / ("2" * 32) / "result.json").exists()


class TestSwap:
    """The old folder or the new one, whatever happens in between; foreign files move along."""

    def fill(self, folder: Path, content: str, names: list[str]) -> None:
        from dynprep.export.manifest import WrittenFile

        manifest = Manifest(folder)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
            digest = hashlib.sha256(content.encode()).hexdigest()
            manifest.files[name] = WrittenFile(len(content), digest, "stage")
        manifest.save()

    @pytest.mark.parametrize("can_exchange", [True, False])
    def test_foreign_files_move_along(
        self, can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not can_exchange:
            monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
        folder = tmp_path / "scene"
        folder.mkdir()
        self.fill(folder, "old", ["images/0", "old/0", "top.json"])
        (folder / "notes.txt").write_text("mine")
        (folder / "old" / "mine").write_text("mine")
        (folder / "sparse" / "0").mkdir(parents=True)
        (folder / "sparse" / "0" / "cameras.bin").write_text("mine")
        (folder / "link").symlink_to("notes.txt")
        self.fill(swap.begin(folder), "new", ["images/0", "images/1"])
        swap.replace(folder)
        names = {"notes.txt", "old/mine", "sparse/0/cameras.bin", "link", "images/0", "images/1"}
        assert set(tree(folder, ("dynprep_files.json",))) == names
        assert (folder / "images" / "0").read_text() == "new" and (folder / "link").is_symlink()
        assert [p.name for p in tmp_path.iterdir()] == ["scene"]

    @pytest.mark.parametrize("can_exchange", [True, False])
    @pytest.mark.parametrize("step", range(12))
    def test_a_kill_at_any_step_leaves_old_or_new(
        self, step: int, can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not can_exchange:
            monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
        folder = tmp_path / "scene"
        folder.mkdir()
        self.fill(folder, "old", ["images/0", "depth/0"])
        (folder / "notes.txt").write_text("mine")
        count = 0

        class Killed(BaseException):
            pass

        def kill(*_: object) -> None:
            nonlocal count
            count += 1
            if count == step:
                raise Killed

        def killing(function: object) -> object:
            def call(*arguments: object, **options: object) -> object:
                kill()
                return function(*arguments, **options)  # type: ignore[operator]

            return call

        with monkeypatch.context() as patch:
            for name in ("rename", "rmdir"):
                patch.setattr(os, name, killing(getattr(os, name)))
            patch.setattr(Path, "unlink", killing(Path.unlink))
            patch.setattr(swap, "sync_folder", killing(durable.sync_folder))
            try:
                self.fill(swap.begin(folder), "new", ["images/0", "depth/0"])
                swap.replace(folder)
            except Killed:
                pass
        if folder.exists():
            kinds = {p.read_text() for p in folder.glob("*/0")}
            assert kinds in ({"old"}, {"new"})
        else:
            assert not can_exchange  # the moment between two renames
        swap.recover(folder)
        kinds = {p.read_text() for p in folder.glob("*/0")}
        assert kinds in ({"old"}, {"new"}) and len(list(folder.glob("*/0"))) == 2
        assert (folder / "notes.txt").read_text() == "mine"
        assert [p.name for p in tmp_path.iterdir()] == ["scene"]


def test_one_folder_is_of_one_set_of_frames(run_here: RunHere) -> None:
    """Other frames remove what was made of the former ones, and other results what was made of them."""
    scene = run_here(*SMALL, "data.end=4", name="x") / "dataset" / "demo"
    assert (scene / "alltracker").is_dir()
    run_here(*SMALL, "data.start=5", "data.stride=2", "stages=[masks]", name="x")
    shown = sorted(p.name for p in scene.iterdir() if p.is_dir())
    assert shown == ["images", "masks", "objects"]
    provenance = json.loads((scene / "dynprep.json").read_text())
    assert sorted(provenance["folders"]) == ["images", "masks", "objects"]
    assert len({made_of["images"] for made_of in provenance["made_of"].values()}) == 1


def test_what_still_fits_stays(run_here: RunHere) -> None:
    scene = run_here(*SMALL, name="x") / "dataset" / "demo"
    tracks = tree(scene / "alltracker")
    run_here(*SMALL, "stages=[alignment]", "alignment=lstsq", name="x")
    assert tree(scene / "alltracker") == tracks and (scene / "masks").is_dir()
    # points were made of the other alignment, and so was the prior
    assert not (scene / "points").exists() and not (scene / "marigold").exists()
    made_of = json.loads((scene / "dynprep.json").read_text())["made_of"]
    for name in ("alignment", "alignment_fits", "images", "depth"):
        assert len({keys[name] for keys in made_of.values() if name in keys}) == 1


def test_an_edit_while_the_dataset_is_laid_out_is_not_lost(
    run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dynprep.export import content

    scene = run_here(*SMALL, "dataset.link=copy") / "dataset" / "demo"
    victim = scene / "masks" / "00000.png"

    def edit(source: Path, target: Path, kind: LinkKind) -> None:
        place(source, target, kind)
        if target.parent.name == "points":  # the last folder
            victim.chmod(0o644)
            victim.write_bytes(b"edited by hand")

    with monkeypatch.context() as patch:
        patch.setattr(content, "place", edit)
        with pytest.raises(UserError, match=r"were changed .* masks/00000\.png"):
            run_here(*SMALL, "dataset.link=copy", "masks=none")
    assert victim.read_bytes() == b"edited by hand"


def test_a_result_that_vanishes_before_the_export_is_an_error(
    run_here: RunHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dynprep import steps

    execute = steps.execute

    def then_lose(run: object) -> None:
        execute(run)  # type: ignore[arg-type]
        for path in (tmp_path / "store" / "masks").glob("*/00003.png"):
            path.unlink()

    monkeypatch.setattr("dynprep.app.STEPS", [then_lose if s is execute else s for s in steps_of()])
    with pytest.raises(
        UserError, match=r"masks of demo: its files in the store are gone or damaged"
    ):
        run_here(*SMALL)
    assert not (tmp_path / "run" / "dataset" / "demo").exists()
    monkeypatch.undo()
    assert (run_here(*SMALL) / "dataset" / "demo" / "masks" / "00003.png").exists()


def steps_of() -> tuple[object, ...]:
    from dynprep.app import STEPS

    return STEPS


@pytest.mark.skipif(sys.platform != "linux", reason="needs a symbolic link to a folder")
def test_a_scenes_folder_may_be_a_link(run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / "big_disk").mkdir()
    (tmp_path / "run" / "dataset").mkdir(parents=True)
    (tmp_path / "run" / "dataset" / "demo").symlink_to(tmp_path / "big_disk")
    run_here(*SMALL, *MASKS_ALONE)
    assert (tmp_path / "run" / "dataset" / "demo").is_symlink()
    assert (tmp_path / "big_disk" / "masks" / "00000.png").is_file()


def test_a_users_own_folder_of_objects_is_refused_before_any_work(
    run_here: RunHere, clip: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "out" / "scene" / "objects" / "00000.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    options = ["data=frames", f"data.path={clip}", f"dataset_dir={tmp_path / 'out'}", *MASKS_ALONE]
    with pytest.raises(UserError, match="objects"):
        run_here(*options)
    assert mine.read_text() == "mine"
