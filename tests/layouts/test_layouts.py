"""Layouts: what each trainer's reader demands, and that every one shows the same scene."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

import dynprep
from dynprep.artefacts.base import SceneResults
from dynprep.artefacts.images import Images
from dynprep.commands.export import main as export
from dynprep.config.build import settings
from dynprep.errors import UserError
from dynprep.export.layouts import LayoutWriter
from dynprep.pipeline.plan import recipe
from dynprep.scene.poses.read import read_poses
from dynprep.stages.base import WHOLE_SCENE
from dynprep.stages.layout import LayoutStage
from dynprep.store import Store
from dynprep.store.references import references
from tests.conftest import composed, runner, write_frames
from tests.layouts import cube, readers

FAST = ["layout.colmap.points=3000", "layout.nerfies.points=3000", "layout.mosca.tracks=400"]
READERS: dict[str, Callable[[Path], list[readers.View]]] = {
    "colmap": readers.colmap,
    "transforms": readers.transforms,
    "nerfies": readers.nerfies,
    "shape_of_motion": readers.shape_of_motion,
    "mosca": readers.mosca,
    "megasam": readers.megasam,
    "vipe": readers.vipe,
}


def layout(name: str, *overrides: str) -> LayoutStage:
    """A layout as the configuration builds it."""
    own = [o for o in FAST if o.startswith(f"layout.{name}.")]
    config = composed(["dataset_dir=x", "store_dir=y", f"layout={name}", *own, *overrides])
    (only,) = settings(*config).layouts
    return only


def write(clip: cube.Clip, stage: LayoutStage, root: Path, link: Any = "hard") -> Path:
    """Convert what the layout wants in another form, and write its folder."""
    wanted = recipe(stage, clip.scene.results)
    result = clip.store.cached(
        wanted, lambda w: stage.run(clip.scene, w), is_view=False, item=WHOLE_SCENE
    )
    results = {**clip.scene.results, stage.name: result}
    writer = LayoutWriter(root, link, {"folder": "x", "sweep": None, "started": 0.0})
    writer.check([stage], [clip.scene.name], clip.store)
    return writer.write(stage, SceneResults(clip.scene.name, clip.scene.frames, results))[0]


def notes(clip: cube.Clip, stage: LayoutStage) -> list[str]:
    result = clip.store.result(recipe(stage, clip.scene.results))
    return [note for item in result.items().values() for note in item.notes]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> cube.Clip:
    return cube.make(tmp_path_factory.mktemp("cube"))


@pytest.fixture(scope="module")
def folders(clip: cube.Clip, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every layout's folder of the cube."""
    root = tmp_path_factory.mktemp("layouts")
    names = [name for name in READERS if name != "transforms"]
    made = {name: write(clip, layout(name), root) for name in names}
    return {**made, "transforms": made["colmap"]}


@pytest.mark.parametrize("name", READERS)
def test_the_corners_of_a_cube_fall_on_the_images_in_every_layout(
    name: str, clip: cube.Clip, folders: dict[str, Path]
) -> None:
    views = READERS[name](folders[name])
    assert len(views) == cube.COUNT
    compared = 0
    for k, view in enumerate(views):
        exact = clip.scene[Images].rgb(f"{k:05d}")
        # H.264 blurs colours
        off = np.abs(view.image.astype(float) - exact).mean()
        assert off < 1.5 if name == "vipe" else off == 0
        seen = cube.measured(exact)
        known = np.isfinite(seen).all(1)
        compared += int(known.sum())
        # half a pixel, a flipped axis or an inverted pose would be off by more
        assert np.abs(view.pixels(cube.CORNERS)[known] - seen[known]).max(initial=0) < 0.1
    assert compared > 5 * cube.COUNT


def test_the_measured_corners_are_where_they_were_drawn(clip: cube.Clip) -> None:
    with Image.open(clip.scene.results["images"].file("00003.png")) as image:
        seen = cube.measured(np.asarray(image))
    known = np.isfinite(seen).all(1)
    assert known.sum() >= 5
    np.testing.assert_allclose(seen[known], clip.corners[3][known], atol=0.05)


def test_depth_and_points_are_in_the_unit_of_the_poses(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    z = readers.picture(folders["colmap"] / "depth" / "00000.png") / 1000
    exact = cube._depth(cube.poses()[0])
    assert np.abs(z - exact).max() < 6e-4  # half a millimetre
    stored = np.load(folders["nerfies"] / "depth" / "1x" / "0_00000.npy")[..., 0]
    np.testing.assert_allclose(stored, exact, rtol=1e-6)
    with np.load(folders["megasam"] / "cube_sgd_cvd_hr.npz") as content:
        np.testing.assert_allclose(content["depths"][0], exact, rtol=1e-3)
    np.testing.assert_allclose(readers.vipe_depth(folders["vipe"], tmp_path), exact, rtol=1e-3)
    with np.load(folders["mosca"] / "dynprep_depth" / "00000.npz") as content:
        np.testing.assert_allclose(content["dep"], exact, rtol=1e-6)
    # the wall alone is static, and it is a plane of the world
    points = np.load(folders["nerfies"] / "points.npy")
    np.testing.assert_allclose(points[:, 2], cube.WALL, atol=1e-4)


def test_static_points_leave_objects_out(clip: cube.Clip, folders: dict[str, Path]) -> None:
    import pycolmap

    model = pycolmap.Reconstruction(folders["colmap"] / "sparse" / "0")
    for image in model.images.values():
        mask = readers.picture(folders["colmap"] / "masks" / image.name) > 0
        for point in image.points2D:
            x, y = np.floor(point.xy).astype(int)
            assert not mask[y, x]
    model.write_text(str(folders["colmap"].parent))  # and what it read, it can write
    static = readers.picture(folders["colmap"] / "static_masks" / "00000.png")
    mask = readers.picture(folders["colmap"] / "masks" / "00000.png")
    assert ((static > 0) == (mask == 0)).all()


def test_point_clouds_hold_what_the_model_holds(folders: dict[str, Path]) -> None:
    cloud = trimesh.load(folders["colmap"] / "sparse" / "0" / "points3D.ply")
    np.testing.assert_allclose(cloud.vertices[:, 2], cube.WALL, atol=1e-4)
    assert (cloud.colors[:, :3] == 128).mean() > 0.9
    header = (
        (folders["colmap"] / "sparse" / "0" / "points3D.ply").read_bytes()[:400].decode("latin-1")
    )
    for name in ("nx", "ny", "nz", "red", "green", "blue"):  # what 3D Gaussian Splatting looks for
        assert f" {name}\n" in header


@pytest.mark.parametrize("frame", ["null", "2"])
def test_ply_and_glb_show_the_same_points(clip: cube.Clip, tmp_path: Path, frame: str) -> None:
    options = [("ply", f"layout.ply.frame={frame}"), ("glb", f"layout.glb.frame={frame}")]
    paths = []
    for name, override in options:
        folder = write(clip, layout(name, override, f"layout.{name}.points=2000"), tmp_path)
        paths += folder.glob(f"*.{name}")
    one = trimesh.load(paths[0])
    (two,) = trimesh.load(paths[1]).geometry.values()
    assert paths[0].stem == ("static" if frame == "null" else "00002") and len(one.vertices) > 500
    np.testing.assert_allclose(two.vertices * [1, -1, -1], one.vertices, atol=1e-5)
    assert (two.colors[:, :3] == one.colors[:, :3]).all()
    assert np.abs(one.vertices[:, 2] - cube.WALL).max() < 1e-3


def test_poses_that_were_written_are_read_back(clip: cube.Clip, folders: dict[str, Path]) -> None:
    for path in (folders["colmap"] / "sparse" / "0", folders["colmap"] / "transforms.json"):
        read = read_poses(path).camera_to_world
        np.testing.assert_allclose(read, clip.poses, atol=1e-6)


def test_moscas_tracks_and_flow_follow_the_wall(clip: cube.Clip, folders: dict[str, Path]) -> None:
    folder = folders["mosca"]
    with np.load(next(folder.glob("*uniform*"))) as content:
        tracks, seen = content["tracks"], content["visibility"]
    assert tracks.shape == (cube.COUNT, tracks.shape[1], 3) and seen.dtype == bool
    for a in range(cube.COUNT):
        at = tracks[a, :, :2] - 0.5
        rays = np.concatenate([(at - cube.CENTRE) / cube.FOCAL, np.ones((len(at), 1))], 1)
        world = (rays * tracks[a, :, 2:]) @ clip.poses[a, :3, :3].T + clip.poses[a, :3, 3]
        if a == 0:
            first = world
        both = seen[0] & seen[a]
        assert both.sum() > 50
        assert np.abs(world[both] - first[both]).max() < 0.02
    with np.load(next(folder.glob("*dynamic*"))) as content:
        assert content["tracks"].shape[1] > 20
    with np.load(folder / "flow_raft" / "00002.png_to_00005.png.npz") as content:
        flow, seen = content["flow"].astype(float), content["mask"] > 0
    y, x = np.mgrid[: cube.HEIGHT, : cube.WIDTH]
    z = cube._depth(clip.poses[2])
    rays = np.stack(
        [(x - cube.CENTRE[0]) / cube.FOCAL, (y - cube.CENTRE[1]) / cube.FOCAL, np.ones_like(z)], -1
    )
    world = (rays * z[..., None]) @ clip.poses[2, :3, :3].T + clip.poses[2, :3, 3]
    exact = cube.project(world.reshape(-1, 3), clip.poses[5]).reshape(*z.shape, 2) - np.stack(
        [x, y], -1
    )
    assert seen.mean() > 0.7
    # beyond the last grid point there is nothing to read between
    whole = seen & (x <= cube.WIDTH - 4) & (y <= cube.HEIGHT - 4)
    assert np.abs(flow - exact)[whole].max() < 0.05


def test_shape_of_motions_tracks_are_of_the_object_and_in_logits(
    clip: cube.Clip, folders: dict[str, Path]
) -> None:
    folder = folders["shape_of_motion"] / "bootstapir" / "cube"
    own = np.load(folder / "00004_00004.npy")
    mask = readers.picture(folders["shape_of_motion"] / "masks" / "cube" / "00004.png") > 0
    x, y = own[:, :2].astype(int).T
    assert mask[y, x].all() and len(own) > 50
    far = np.load(folder / "00004_00011.npy")
    occlusion, doubt = (1 / (1 + np.exp(-far[:, k].astype(float))) for k in (2, 3))
    visible = (1 - occlusion) * (1 - doubt) > 0.5
    stored = clip.scene.results["tracks"].array("00004_00011.npy")
    start = clip.scene.results["tracks"].array("00004_00004.npy")[:, :2].astype(int)
    chosen = mask[start[:, 1], start[:, 0]]
    assert (visible == (stored[chosen, 2] < 0.5)).all()
    np.testing.assert_allclose(far[:, :2], stored[chosen, :2], atol=1e-5)


def test_tracks_that_fit_are_shown_as_they_are(tmp_path: Path) -> None:
    clip = cube.make(tmp_path, mask_only=True, scores="logit")
    folder = write(clip, layout("shape_of_motion"), tmp_path / "out")
    shown = folder / "bootstapir" / "cube" / "00001_00002.npy"
    assert shown.samefile(clip.scene.results["tracks"].file("00001_00002.npy"))
    readers.shape_of_motion(folder)


def test_files_of_the_store_are_linked_and_conversions_made_once(
    clip: cube.Clip, folders: dict[str, Path], tmp_path: Path
) -> None:
    image = folders["colmap"] / "images" / "00000.png"
    assert image.samefile(clip.scene.results["images"].file("00000.png"))
    again = write(clip, layout("colmap"), tmp_path)
    path = Path("sparse", "0", "points3D.bin")
    assert (again / path).samefile(folders["colmap"] / path)


def test_the_same_results_give_the_same_bytes(clip: cube.Clip, tmp_path: Path) -> None:
    """Zips and the video hold no date, and threads do not change an order."""
    other = cube.make(tmp_path)
    for name in ("colmap", "nerfies", "mosca", "megasam", "vipe"):
        both = []
        for one, root in ((clip, tmp_path / "a"), (other, tmp_path / "b")):
            folder = write(one, layout(name), root / name)
            both.append(json.loads((folder / "dynprep_files.json").read_text())["files"])
        hashes = [
            {k: v["sha256"] for k, v in files.items() if v["stage"] is not None} for files in both
        ]
        assert hashes[0] == hashes[1]


# what cannot be --------------------------------------------------------------------------------


def test_poses_in_another_unit_than_depth_are_refused(tmp_path: Path) -> None:
    clip = cube.make(tmp_path, unit="median depth of the clip")
    with pytest.raises(UserError, match=r"poses are in 'median depth of the clip'.*poses.scale"):
        write(clip, layout("colmap"), tmp_path / "out")


@pytest.mark.parametrize("name", ["colmap", "nerfies", "shape_of_motion", "mosca"])
def test_a_still_camera_is_said(name: str, tmp_path: Path) -> None:
    clip = cube.make(tmp_path, moves=False, unit="median depth of the clip")
    stage = layout(name)
    write(clip, stage, tmp_path / "out")
    assert any("the camera stays in one place" in note for note in notes(clip, stage))


def test_empty_masks_are_refused_where_the_trainer_needs_objects(tmp_path: Path) -> None:
    clip = cube.make(tmp_path, objects=False)
    with pytest.raises(UserError, match="masks are empty on every frame"):
        write(clip, layout("shape_of_motion"), tmp_path / "out")
    stage = layout("mosca")
    write(clip, stage, tmp_path / "out")
    assert any("no object is marked" in note for note in notes(clip, stage))


def test_tracks_of_few_pairs_are_refused(tmp_path: Path) -> None:
    clip = cube.make(tmp_path, pairs="window:2")
    with pytest.raises(UserError, match=r"flow.pairs=all"):
        write(clip, layout("shape_of_motion"), tmp_path / "out")
    write(clip, layout("mosca"), tmp_path / "out")  # which says where each point is seen


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["layout=colmap", "poses=none"], "colmap needs cameras"),
        (["layout=colmap", "poses.scale=none"], "poses.scale=metric_depth"),
        (["layout=shape_of_motion", "masks=none"], "takes what moves from the object masks"),
        (["layout=shape_of_motion", "flow.pairs=window:2"], "flow.pairs=all"),
        (["layout=mosca", "flow.mask_only=true"], "flow.mask_only=false"),
        (["layout=shape_of_motion", "data.count=9"], "wants 10 frames or more, demo has 9"),
        (["layout=ply", "layout.ply.frame=12"], "frames 0 to 11"),
        (
            ["layout=[colmap,nerfies]", "layout.colmap.folder=NeRF"],
            "another layout has that folder",
        ),
        (["layout=colmap", "layout.colmap.folder=demo"], "a scene is called so"),
        (["layout=colmap", "layout.colmap.folder=../x"], "a name of letters"),
        (["layout=colmap", "stages=[masks]"], "colmap needs"),
    ],
)
def test_what_a_layout_lacks_is_said_before_anything_runs(
    overrides: list[str], message: str, run_here: Callable[..., Any], tmp_path: Path
) -> None:
    small = ["data=demo", "data.count=12", "data.height=96", "data.width=160", "logger=none"]
    with pytest.raises(UserError, match=message):
        run_here(*small, *overrides)
    # the demo's frames are rendered to be looked at; no stage ran
    assert {path.parts[-3] for path in tmp_path.rglob("result.json")} <= {"demo"}


def test_files_of_others_are_not_touched(clip: cube.Clip, tmp_path: Path) -> None:
    folder = tmp_path / "colmap" / "cube"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"did not write, e\.g\. notes\.txt"):
        write(clip, layout("colmap"), tmp_path)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_what_a_trainer_wrote_stays_and_is_said(clip: cube.Clip, tmp_path: Path) -> None:
    folder = write(clip, layout("colmap"), tmp_path)
    (folder / "cache").mkdir()
    (folder / "cache" / "made.pth").write_text("by a trainer")
    other = layout("colmap", "layout.colmap.points=500")
    wanted = recipe(other, clip.scene.results)
    result = clip.store.cached(wanted, lambda w: other.run(clip.scene, w), item=WHOLE_SCENE)
    scene = SceneResults("cube", clip.scene.frames, {**clip.scene.results, "colmap": result})
    writer = LayoutWriter(tmp_path, "hard", {"folder": "x", "sweep": None, "started": 0.0})
    _, remark = writer.write(other, scene)
    assert remark is not None and "cache/made.pth" in remark
    assert (folder / "cache" / "made.pth").read_text() == "by a trainer"
    (folder / "transforms.json").unlink()
    (folder / "transforms.json").write_text("{}")
    with pytest.raises(UserError, match=r"changed since dynprep wrote them, e.g. transforms.json"):
        writer.write(other, scene)


def test_an_extra_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynprep.stages.layout.find_spec", lambda name: None)
    for name, package in (("vipe", "OpenEXR"), ("glb", "trimesh")):
        with pytest.raises(UserError, match=rf"needs {package}.*dynprep\[layouts\]"):
            layout(name).check_packages()
    layout("colmap").check_packages()


def test_a_glb_is_a_binary_gltf(clip: cube.Clip, tmp_path: Path) -> None:
    folder = write(clip, layout("glb"), tmp_path)
    content = (folder / "static.glb").read_bytes()
    assert content[:4] == b"glTF" and int.from_bytes(content[8:12], "little") == len(content)
    scene = trimesh.load(io.BytesIO(content), file_type="glb")
    assert len(scene.geometry) == 1


# a run, and exports after it --------------------------------------------------------------------


SMALL = [
    "data=demo", "data.count=12", "data.height=96", "data.width=160", "logger=none", "report.page=false",
    "layout.colmap.points=2000",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the small demo, with a COLMAP folder beside the dataset."""
    root = tmp_path_factory.mktemp("finished")
    return runner(root)(
        *SMALL,
        "layout=[adagar,colmap]",
        "stages=[masks,metric_depth,depth,alignment,cameras,tracks]",
    )


def exported(*words: Any) -> int:
    return export([str(word) for word in words])


def test_a_run_writes_the_dataset_and_the_layout(finished: Path) -> None:
    assert (finished / "dataset" / "demo" / "cameras.json").is_file()
    folder = finished / "dataset" / "colmap" / "demo"
    assert len(read_poses(folder / "sparse" / "0").camera_to_world) == 12
    made = json.loads((folder / "dynprep.json").read_text())["made_of"]["colmap"]
    assert set(made) == {"images", "masks", "alignment", "cameras", "colmap"}


def test_export_takes_a_run_a_store_or_a_dataset(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [finished, finished.parent / "store", finished / "dataset" / "demo"]
    for k, place in enumerate(places):
        scene = ["demo"] if place.name == "store" else []
        assert exported(place, *scene, "layout=ply", f"dataset_dir={tmp_path / str(k)}") == 0
    clouds = [tmp_path / str(k) / "ply" / "demo" / "static.ply" for k in range(3)]
    assert len({path.read_bytes() for path in clouds}) == 1
    # beside the dataset, wherever one stands
    monkeypatch.chdir(finished / "dataset" / "demo")
    assert exported(".", "layout=megasam") == 0
    assert (finished / "dataset" / "megasam" / "demo" / "demo_sgd_cvd_hr.npz").is_file()


def test_what_an_export_shows_outlives_cleaning(finished: Path, tmp_path: Path) -> None:
    assert exported(finished, "layout=ply", f"dataset_dir={tmp_path}", "dataset.link=symlink") == 0
    store = Store(finished.parent / "store")
    kept = {note.run for note in references(store).values() if note.alive()}
    assert str(tmp_path / "ply" / "demo") in kept
    assert not any(note.pinned for note in references(store).values())


def test_an_export_that_fails_protects_nothing_for_ever(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise UserError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(LayoutWriter, "write", fail)
        with pytest.raises(UserError, match="disk is full"):
            exported(finished, "layout=ply", "layout.ply.points=77", f"dataset_dir={tmp_path}")
    store = Store(finished.parent / "store")
    assert not any(note.pinned for note in references(store).values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "layout=ply"], "there is no folder nowhere"),
        (["{run}", "layout=ply", "depth=parallax"], "depth has no effect"),
        (["{run}", "dog", "layout=ply"], "has no scene 'dog'"),
        (["{run}"], "name a layout"),
        (["{run}", "layout=[ply,null]"], "do not fit together"),
        (["{run}/../store", "layout=ply"], "name the scene"),
        (["{run}", "layout=ply", "dataset_dir={run}/../store/x"], "lie one in the other"),
        (["{run}", "layout=ply", "dataset_dir=/dev/null/x"], "cannot be written"),
        (["{run}/dataset/colmap/demo", "layout=ply"], "is a layout's folder"),
        (["{run}", "layout=ply", "layout.ply.frame=12"], "frames 0 to 11"),
        (["{run}", "layout=ply", "--to=x"], "no option"),
    ],
)
def test_what_export_cannot_do_is_one_line(
    words: list[str], message: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        exported(*(word.format(run=finished) for word in words))
    assert "\n" not in str(error.value)


def test_a_layout_that_fails_stops_neither_the_dataset_nor_the_others(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished.parent / "store", tmp_path / "store")
    empty = write_frames(tmp_path / "none" / "masks", [np.zeros((96, 160, 3), np.uint8)] * 12)
    with pytest.raises(UserError, match="masks are empty on every frame"):
        runner(tmp_path)(
            *SMALL, "masks=folder", f"masks.path={empty}", "layout=[shape_of_motion,colmap]",
            "stages=[masks,metric_depth,depth,alignment,cameras,tracks]",
        )  # fmt: skip
    (dataset,) = tmp_path.glob("*/dataset")
    assert (dataset / "demo" / "dynprep.json").is_file()
    assert (dataset / "colmap" / "demo" / "transforms.json").is_file()
    assert not (dataset / "shape_of_motion").exists()


def test_a_file_where_the_folder_would_be_stays(clip: cube.Clip, tmp_path: Path) -> None:
    (tmp_path / "colmap").mkdir()
    (tmp_path / "colmap" / "cube").write_text("precious")
    with pytest.raises(UserError, match="is no folder"):
        write(clip, layout("colmap"), tmp_path)
    assert (tmp_path / "colmap" / "cube").read_text() == "precious"
    assert len(list((tmp_path / "colmap").iterdir())) == 1


def test_a_layouts_folder_is_no_dataset(finished: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder of layout=colmap; a scene of a dataset is"):
        dynprep.open(finished / "dataset" / "colmap" / "demo")


def test_check_says_what_a_layout_lacks(run_main: Callable[..., Any]) -> None:
    done = run_main("check", "--quick", "layout=shape_of_motion", "flow.pairs=window:2", *SMALL[:5])
    assert done.returncode != 0 and "flow.pairs=all" in done.stdout + done.stderr
