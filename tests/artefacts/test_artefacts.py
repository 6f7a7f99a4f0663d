"""Artefacts: what a class must say of itself, what may be written, and that what is written is read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.alignment import AlignedDisparity, AlignmentFits, Fit
from dynprep.artefacts.cameras import Cameras, CameraSet
from dynprep.artefacts.depth_map import DepthMap
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics, SeenIntrinsics
from dynprep.artefacts.maps import MapKind, MetricMap, RelativeMap, depth_of, disparity_of
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.motion import (
    CameraPath,
    OpticalFlow,
    ParallaxMaps,
    Poses,
    neighbour_distances,
)
from dynprep.artefacts.normals import Normals
from dynprep.artefacts.points import PointTrajectories, Trajectories
from dynprep.artefacts.prior import DepthPrior
from dynprep.artefacts.relative_disparity import RelativeDisparity
from dynprep.artefacts.sky import Sky
from dynprep.artefacts.tracks import Pairs, PairTracks, TrackForm
from dynprep.errors import UserError
from dynprep.files import sha256
from dynprep.scene.frames import Frame, Frames
from dynprep.store import ItemWriter, Recipe, Result, Store
from dynprep.store.verified import Damaged

Array = NDArray[Any]
H, W = 6, 10
STEM = "00001"
FRAMES = Frames(
    tuple(Frame(f"{k:05d}", k, k / 24, f"frame {k}") for k in range(3)), ".png", H, W, H, W
)
FORM = TrackForm(2, ("npy", "pth"), Pairs(), "float32", "probability")
POINTS = FORM.grid(FRAMES)
SAID: dict[str, Any] = {
    "name": "made_up",
    "title": "Made up",
    "what": "nothing",
    "unit": "",
    "places": (),
    "picture": None,
    "scorers": (),
    "agreement": None,
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def a_map(low: float = 0.1, high: float = 5.0, seed: int = 0) -> NDArray[np.float32]:
    return rng(seed).uniform(low, high, (H, W)).astype(np.float32)


def with_nan(values: Array) -> Array:
    bad = values.copy()
    bad.flat[3 % bad.size] = np.nan
    return bad


@pytest.fixture
def result(tmp_path: Path) -> Result:
    return opened(tmp_path)


def opened(folder: Path, **options: Any) -> Result:
    """A result to write to and to read from."""
    made = Store(folder / "store").result(Recipe("made_up", "test", options=options))
    made.begin({})

    def fact(name: str) -> tuple[int, str]:  # read before it is sealed
        if not made.file(name).exists():
            raise Damaged(made.file(name))
        return made.file(name).stat().st_size, sha256(made.file(name))

    made.fact = fact  # type: ignore[method-assign]
    return made


# what a class says of itself ------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Artefact]]:
    """A registry of this test's own."""
    mine = dict(Artefact.registry)
    monkeypatch.setattr(Artefact, "registry", mine)
    return mine


def test_the_list_of_declarations_is_complete() -> None:
    assert set(Artefact.REQUIRED) == set(SAID) and len(Artefact.REQUIRED) == 8


@pytest.mark.parametrize("forgotten", SAID)
def test_a_class_that_forgets_a_declaration_is_refused(
    forgotten: str, registry: dict[str, type[Artefact]]
) -> None:
    before = dict(registry)
    said = {k: v for k, v in SAID.items() if k != forgotten}
    with pytest.raises(TypeError, match=f"artefact Forgetful does not say its {forgotten}$"):
        type("Forgetful", (Artefact,), said)
    assert registry == before


def test_everything_that_is_forgotten_is_named(registry: dict[str, type[Artefact]]) -> None:
    with pytest.raises(TypeError, match="its name, title, what, unit, places, picture, scorers"):
        type("Forgetful", (Artefact,), {})


def test_a_complete_class_is_known_and_an_abstract_one_is_not(
    registry: dict[str, type[Artefact]],
) -> None:
    before = set(registry)
    made = type("Complete", (Artefact,), SAID)
    assert registry["made_up"] is made

    class Shared(Artefact, is_abstract=True):
        pass

    assert set(registry) - before == {"made_up"} and Shared not in registry.values()


def test_two_with_one_name_are_refused(registry: dict[str, type[Artefact]]) -> None:
    type("First", (Artefact,), SAID)
    with pytest.raises(TypeError, match="Second and First are both called 'made_up'"):
        type("Second", (Artefact,), SAID)
    assert registry["made_up"].__name__ == "First"


def test_all_artefacts_are_known() -> None:
    assert set(Artefact.registry) == {
        "images", "intrinsics", "camera_estimate", "optical_flow", "camera_path", "parallax", "masks",
        "metric_depth", "depth", "alignment_fits", "alignment", "prior", "tracks", "points", "normals",
        "sky", "cameras", "colmap", "nerfies", "shape_of_motion", "mosca", "megasam", "vipe", "ply", "glb",
    }  # fmt: skip
    for name, artefact in Artefact.registry.items():
        assert artefact.name == name
        for place in artefact.places:
            assert place.is_folder is not place.default.endswith(".json")


# what may be written --------------------------------------------------------------------------

Write = Callable[[ItemWriter], None]
POSES = Poses(np.stack([np.eye(3)] * 3), rng(1).standard_normal((3, 3)), 4.0, 0.25, 0.5)
KNOWN = np.array([20.0, 21.0, 4.5, 2.5])
PLACES = np.stack([np.eye(4)] * 3)
ROWS = np.stack([KNOWN] * 3)
CLOUD = Trajectories(
    rng(2).standard_normal((4, 3, 3)).astype(np.float32),
    rng(3).uniform(0, 1, (4, 3)).astype(np.float32),
    rng(4).uniform(0, 1, (4, 3)).astype(np.float32),
    rng(5).integers(0, 255, (4, 3), np.uint8),
    np.array([0, 0, 1, 2], np.int32),
)
TRACKS = np.concatenate([POINTS + 1.5, rng(6).uniform(0, 1, (len(POINTS), 2))], 1).astype(
    np.float32
)
FLOW = rng(7).uniform(-0.1, 0.1, (2, 3, 5, 2)).astype(np.float32)
MAPS = rng(8).uniform(0, 4, (4, 3, 5)).astype(np.float32)
MASK = rng(9).uniform(0, 1, (H, W)) > 0.5
UPRIGHT = np.tile(np.array([0, 0.6, -0.8], np.float32), (H, W, 1))


def cloud(**parts: Array) -> Write:
    kinds = {"fg": CLOUD, "bg": replace(CLOUD, **parts)}
    return lambda w: PointTrajectories.write(w, FRAMES, kinds, KNOWN)


def metric(depth: Array, intrinsics: Array = KNOWN, valid: Array | None = None) -> Write:
    return lambda w: MetricDisparity.write(w, FRAMES, STEM, MetricMap(depth, intrinsics, valid))


def relative(values: Array, kind: MapKind = MapKind.DISPARITY) -> Write:
    return lambda w: RelativeDisparity.write(w, FRAMES, STEM, RelativeMap(values, kind))


def tracks(values: Array, form: TrackForm = FORM) -> Write:
    return lambda w: PairTracks.write(w, FRAMES, form, (1, 2), values, (H, W))


def aligned(values: Array) -> Write:
    return lambda w: AlignedDisparity.write_map(w, FRAMES, STEM, values)


def camera(rows: dict[str, list[float]]) -> Write:
    return lambda w: Intrinsics.write(w, rows, True)


def path(poses: Poses) -> Write:
    return lambda w: CameraPath.write(w, FRAMES, poses)


def cameras(poses: Array, rows: Array) -> Write:
    found = CameraSet(poses, rows, "m", True, None, True, "parallax")
    return lambda w: Cameras.write(w, FRAMES, found)


def flow(values: Array) -> Write:
    return lambda w: OpticalFlow.write(w, FRAMES, STEM, values)


def parallax(values: Array) -> Write:
    return lambda w: ParallaxMaps.write(w, STEM, values)


def prior(values: Array) -> Write:
    return lambda w: DepthPrior.write(w, FRAMES, STEM, values)


def normals(values: Array) -> Write:
    return lambda w: Normals.write(w, FRAMES, STEM, values)


def masks(values: Array) -> Write:
    return lambda w: ObjectMasks.write(w, FRAMES, STEM, values)


def seen(values: Array) -> Write:
    return lambda w: SeenIntrinsics.write(w, STEM, values)


NOT_FINITE: dict[str, tuple[Write, str]] = {
    "depth": (relative(with_nan(a_map())), f"depth of frame {STEM}: 1 of {H * W}"),
    "depth, infinite": (relative(np.full((H, W), np.inf, np.float32)), f"depth of frame {STEM}: {H * W} of"),
    "depth of depth": (relative(with_nan(a_map()), MapKind.DEPTH), f"depth of frame {STEM}"),
    "metric_depth": (metric(with_nan(a_map())), f"metric_depth of frame {STEM}"),
    "its intrinsics": (metric(a_map(), with_nan(KNOWN)), f"intrinsics of frame {STEM}"),
    "alignment": (aligned(with_nan(a_map())), f"alignment of frame {STEM}"),
    "prior": (prior(with_nan(a_map())), f"prior of frame {STEM}"),
    "normals": (normals(with_nan(UPRIGHT)), f"normals of frame {STEM}"),
    "tracks": (tracks(with_nan(TRACKS)), "tracks 00001_00002"),
    "intrinsics": (camera({STEM: [1, 2, np.nan, 3]}), f"intrinsics of frame {STEM}"),
    "camera_estimate": (seen(with_nan(KNOWN)), f"intrinsics of frame {STEM}"),
    "optical_flow": (flow(with_nan(FLOW)), f"optical flow of frame {STEM}"),
    "parallax": (parallax(with_nan(MAPS)), f"parallax of frame {STEM}"),
    "camera_path": (
        path(replace(POSES, translation=with_nan(POSES.translation))), "translations of the camera",
    ),
    "camera_path, turned": (
        path(replace(POSES, rotation=with_nan(POSES.rotation))), "rotations of the camera",
    ),
    "camera_path, its range": (
        path(replace(POSES, nearest=float("nan"))), "depth range and noise of the camera's path",
    ),
    "cameras": (cameras(with_nan(PLACES), ROWS), "poses of the camera"),
    "cameras, intrinsics": (cameras(PLACES, with_nan(ROWS)), "intrinsics of the camera"),
    "points": (cloud(positions=with_nan(CLOUD.positions)), "points of the background"),
    "points, seen": (cloud(visibility=with_nan(CLOUD.visibility)), "points of the background"),
    "points, sure": (cloud(confidence=with_nan(CLOUD.confidence)), "points of the background"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_FINITE)
def test_what_is_not_finite_is_refused(what: str, result: Result) -> None:
    write, said = NOT_FINITE[what]
    with pytest.raises(UserError, match=f"^{said}.*values are not finite") as caught:
        write(result.writer("item"))
    assert "\n" not in str(caught.value)


WRONG: dict[str, tuple[Write, str]] = {
    "depth": (relative(a_map()[1:]), f"depth of frame {STEM}: its shape is (5, 10), (6, 10)"),
    "depth, turned": (relative(a_map().T), f"depth of frame {STEM}: its shape"),
    "depth with a channel": (relative(a_map()[..., None]), f"depth of frame {STEM}: its shape"),
    "metric_depth": (metric(a_map()[:, 1:]), f"metric_depth of frame {STEM}: its shape"),
    "its intrinsics": (metric(a_map(), KNOWN[:3]), f"intrinsics of frame {STEM}: its shape"),
    "its validity": (metric(a_map(), KNOWN, MASK[1:]), f"validity of frame {STEM}: its shape"),
    "validity in numbers": (metric(a_map(), KNOWN, a_map()), f"validity of frame {STEM}: its dtype"),
    "alignment": (aligned(a_map()[1:]), f"alignment of frame {STEM}: its shape"),
    "alignment in doubles": (
        aligned(a_map().astype(np.float64)),
        f"alignment of frame {STEM}: its dtype is float64, float32 is meant",
    ),
    "prior": (prior(a_map(0, 1)[1:]), f"prior of frame {STEM}: its shape"),
    "normals": (normals(UPRIGHT[..., :2]), f"normals of frame {STEM}: its shape"),
    "masks": (masks(MASK[1:]), f"masks of frame {STEM}: its shape"),
    "sky": (lambda w: Sky.write(w, FRAMES, STEM, MASK[1:]), f"sky of frame {STEM}: its shape"),
    "sky of metric depth": (
        lambda w: MetricDisparity.write(w, FRAMES, STEM, MetricMap(a_map(), KNOWN, sky=MASK[1:])),
        f"sky of frame {STEM}: its shape",
    ),
    "sky of depth": (
        lambda w: RelativeDisparity.write(w, FRAMES, STEM, RelativeMap(a_map(), MapKind.DISPARITY, MASK[1:])),
        f"sky of frame {STEM}: its shape",
    ),
    "masks in numbers": (masks(MASK.astype(np.uint8)), f"masks of frame {STEM}: its dtype"),
    "tracks": (tracks(TRACKS[:, :3]), "tracks 00001_00002: its shape"),
    "tracks in doubles": (tracks(TRACKS.astype(np.float64)), "tracks 00001_00002: its dtype"),
    "intrinsics": (camera({STEM: [1, 2, 3]}), f"intrinsics of frame {STEM}: its shape"),
    "camera_estimate": (seen(KNOWN[None]), f"intrinsics of frame {STEM}: its shape"),
    "optical_flow": (flow(FLOW[..., :1]), f"optical flow of frame {STEM}: its shape"),
    "parallax": (parallax(MAPS[:2]), f"parallax of frame {STEM}: its shape"),
    "parallax of one row": (parallax(MAPS[:, 0]), f"parallax of frame {STEM}: its shape"),
    "camera_path": (path(replace(POSES, translation=KNOWN)), "translations of the camera: its"),
    "camera_path of fewer": (path(replace(POSES, rotation=POSES.rotation[1:])), "rotations of the"),
    "cameras": (cameras(PLACES[:, :3], ROWS), "poses of the camera: its shape"),
    "cameras of fewer": (cameras(PLACES, ROWS[1:]), "intrinsics of the camera: its shape"),
    "points": (cloud(positions=CLOUD.positions[:, 1:]), "points of the background: its shape"),
    "points, seen": (cloud(visibility=CLOUD.visibility[1:]), "points of the background: its shape"),
    "points, sure": (cloud(confidence=CLOUD.confidence.T), "points of the background: its shape"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_another_shape_or_dtype_is_refused(what: str, result: Result) -> None:
    write, said = WRONG[what]
    with pytest.raises(ValueError) as caught:
        write(result.writer("item"))
    assert str(caught.value).startswith(said), caught.value


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_fit_that_is_not_finite_names_its_frame(bad: float, result: Result) -> None:
    fits = [
        Fit(1.0, 0.0, 0.1, 0.9, 60),
        Fit(1.0, bad, 0.1, 0.9, 60),
        Fit(1.0, 0.0, 0.1, 0.9, 60),
    ]
    with pytest.raises(UserError, match=f"alignment_fits of frame {STEM}"):
        AlignmentFits.write(result.writer("item"), "huber", "frame", FRAMES.stems, fits)


def test_every_artefact_that_writes_is_held_against_its_promise() -> None:
    """A new artefact must be added to the lists above."""
    writes = {
        n for n, a in Artefact.registry.items() if hasattr(a, "write") or issubclass(a, DepthMap)
    }
    assert writes - {"alignment_fits"} == {
        n for n in (*NOT_FINITE, *WRONG) if n in Artefact.registry
    }


# what is written is read ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("artefact", [AlignedDisparity, RelativeDisparity])
def test_maps_come_back(artefact: type[DepthMap], seed: int, result: Result) -> None:
    values = a_map(-1, 3, seed)
    (aligned if artefact is AlignedDisparity else relative)(values)(result.writer("item"))
    found = artefact(result, FRAMES).of(STEM)
    assert found.dtype == np.float32 and np.array_equal(found, values)


def test_relative_maps_come_back_as_png_too(result: Result) -> None:
    values = a_map(-1, 3)
    relative(values)(result.writer("item"))
    unit = RelativeDisparity(result, FRAMES).unit_disparity(STEM)
    wanted = (values.astype(np.float64) - values.min()) / np.ptp(values.astype(np.float64))
    assert unit.min() == 0 and unit.max() == 1
    assert np.abs(unit - wanted).max() <= 1 / 65535 + 1e-12


def test_depth_becomes_disparity_with_the_same_order(result: Result) -> None:
    depth = a_map()
    relative(depth, MapKind.DEPTH)(result.writer("item"))
    found = RelativeDisparity(result, FRAMES).of(STEM)
    assert (np.diff(found.ravel()[np.argsort(depth.ravel())]) <= 0).all()
    assert found.min() == pytest.approx(0.5) and found.max() == pytest.approx(1)


@pytest.mark.parametrize("valid", [None, MASK])
def test_metric_depth_comes_back(valid: Array | None, result: Result) -> None:
    depth = a_map()
    metric(depth, KNOWN, valid)(result.writer("item"))
    read = MetricDisparity(result, FRAMES)
    assert np.array_equal(read.of(STEM), disparity_of(depth))
    assert np.allclose(depth_of(read.of(STEM)), depth, rtol=1e-6)
    assert np.array_equal(read.intrinsics(STEM), KNOWN)
    measured = read.measured(STEM)
    assert measured is None if valid is None else np.array_equal(measured, valid)


def test_all_frames_come_back_as_arrays(result: Result) -> None:
    maps = [a_map(seed=k) for k in range(3)]
    for stem, depth in zip(FRAMES.stems, maps, strict=True):
        shifted = KNOWN + int(stem)
        MetricDisparity.write(result.writer(stem), FRAMES, stem, MetricMap(depth, shifted))
        ObjectMasks.write(result.writer(stem), FRAMES, stem, depth > 2)
    read = MetricDisparity(result, FRAMES)
    disparity, intrinsics = read.as_arrays()
    assert np.array_equal(disparity, np.stack([disparity_of(m) for m in maps]))
    assert np.array_equal(intrinsics, KNOWN + np.arange(3)[:, None])
    assert np.array_equal(read.clip_intrinsics, KNOWN + 1)
    assert read.composed() == {
        MetricDisparity.places[1]: {s: list(KNOWN + k) for k, s in enumerate(FRAMES.stems)}
    }
    assert np.array_equal(ObjectMasks(result, FRAMES).as_arrays(), np.stack(maps) > 2)


def test_the_prior_comes_back_within_its_limits(result: Result) -> None:
    values = a_map(-0.2, 1.2)
    prior(values)(result.writer("item"))
    assert np.array_equal(DepthPrior(result, FRAMES).of(STEM), np.clip(values, 0, 1))
    assert result.file(f"{STEM}_pred.npy").is_file()


def test_normals_come_back(result: Result) -> None:
    normals(UPRIGHT)(result.writer("item"))
    assert np.array_equal(Normals(result, FRAMES).of(STEM), UPRIGHT)


def test_masks_come_back(result: Result) -> None:
    masks(MASK)(result.writer("item"))
    assert np.array_equal(ObjectMasks(result, FRAMES).of(STEM), MASK)
    assert set(np.unique(result.image(f"{STEM}.png"))) == {0, 255}


def test_sky_comes_back(result: Result) -> None:
    writer = result.writer("item")
    Sky.write(writer, FRAMES, STEM, MASK)
    assert np.array_equal(Sky(result, FRAMES).of(STEM), MASK)
    MetricDisparity.write(writer, FRAMES, STEM, MetricMap(a_map(), KNOWN, sky=MASK))
    seen = MetricDisparity(result, FRAMES).sky(STEM)
    assert seen is not None and np.array_equal(seen, MASK)
    assert MetricDisparity(result, FRAMES).camera_to_world is None


def test_depth_up_to_scale_becomes_disparity_and_sky_has_none() -> None:
    depth = a_map(1, 4)
    disparity = RelativeMap(depth, MapKind.SCALED_DEPTH, MASK).disparity()
    assert np.allclose(disparity[~MASK] * depth[~MASK], 1) and (disparity[MASK] == 0).all()
    assert np.allclose(RelativeMap(depth, MapKind.SCALED_DEPTH).disparity() * depth, 1)


def test_cameras_come_back(result: Result) -> None:
    rows = {stem: list(KNOWN + k) for k, stem in enumerate(FRAMES.stems)}
    for known in (True, False):
        Intrinsics.write(result.writer("item"), rows, known)
        read = Intrinsics(result, FRAMES)
        assert read.known is known and np.array_equal(read.of(STEM), KNOWN + 1)
    for k, stem in enumerate(FRAMES.stems):
        SeenIntrinsics.write(result.writer(stem), stem, KNOWN + k * k)
    assert np.array_equal(SeenIntrinsics(result, FRAMES).clip_median, KNOWN + 1)


def test_the_cameras_path_comes_back(result: Result) -> None:
    path(POSES)(result.writer("item"))
    read = CameraPath(result, FRAMES).poses
    for name, value in vars(POSES).items():
        assert np.array_equal(getattr(read, name), value), name


def test_optical_flow_comes_back_in_pixels_of_the_images(tmp_path: Path) -> None:
    result = opened(tmp_path, offsets=[1])
    assert neighbour_distances(1, 3, [1]) == [1, -1]
    flow(FLOW)(result.writer("item"))
    read = OpticalFlow(result, FRAMES)
    for k, target in enumerate((2, 0)):
        found = read.field(1, target)
        assert np.allclose(found, FLOW[k] * [W, H], rtol=1e-3, atol=1e-4)


def test_parallax_comes_back_with_its_ends_clipped(result: Result) -> None:
    values = MAPS.copy()
    values[1, 0, 0] = 1e9
    parallax(values)(result.writer("item"))
    read = ParallaxMaps(result, FRAMES).of(STEM)
    assert np.allclose(read.inverse_depth, values[0], rtol=1e-3)
    assert read.information[0, 0] == 65504 and np.allclose(read.motion, values[2], rtol=1e-3)
    assert np.allclose(read.measured, values[3], rtol=1e-3)


def test_fits_come_back(result: Result) -> None:
    fits = [Fit(1.5 + k, -0.1, 0.01, 0.9, 60, "spread" * (k == 2)) for k in range(3)]
    AlignmentFits.write(result.writer("item"), "huber", "frame", FRAMES.stems, fits)
    read = AlignmentFits(result, FRAMES)
    assert list(read.fits.values()) == fits and list(read.fits) == FRAMES.stems
    assert (read.report["method"], read.report["per"]) == ("huber", "frame")
    assert (read.of(STEM).scale, read.of(STEM).shift) == (2.5, -0.1)


def test_trajectories_come_back(result: Result) -> None:
    none = Trajectories(*(part[:0] for part in vars(CLOUD).values()))
    writer = result.writer("item")
    PointTrajectories.write(writer, FRAMES, {"fg": none, "bg": CLOUD}, KNOWN)
    assert writer.item.notes == ["points: no object points were seen in enough frames"]
    read = PointTrajectories(result, FRAMES)
    for kind, wanted in {"fg": none, "bg": CLOUD}.items():
        for name, value in vars(wanted).items():
            found = getattr(read.of(kind), name)
            assert found.dtype == value.dtype and np.array_equal(found, value), (kind, name)
    assert len(read.of("fg")) == 0 and np.array_equal(read.intrinsics, KNOWN)
    assert np.array_equal(read.of("bg").visible, CLOUD.visibility >= 0.5)


def test_the_table_of_frames_comes_back(result: Result) -> None:
    Images.write_table(result.writer("item"), FRAMES)
    assert Images.read_table(result) == FRAMES


# tracks ---------------------------------------------------------------------------------------

OPTIONS = {"rate": 2, "pairs": "all", "mask_only": False, "formats": ["npy", "pth"]}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("scores", ["probability", "logit"])
def test_tracks_come_back(dtype: str, scores: str, tmp_path: Path) -> None:
    import torch

    result = opened(tmp_path, **OPTIONS, dtype=dtype, scores=scores)
    form = TrackForm.of(result.options)
    tracks(TRACKS, form)(result.writer("item"))
    read = PairTracks(result, FRAMES)
    found = read.between(1, 2)
    reach = {"float32": 1e-5, "float16": 4e-3}[dtype]
    assert found.dtype == np.float32 and np.abs(found - TRACKS).max() < reach
    stored = np.load(result.file("00001_00002.npy"))
    assert stored.dtype == dtype
    if (
        scores == "logit"
    ):  # TAPIR's: occlusion, and expected error, which is high where one is unsure
        p = 1 / (1 + np.exp(-stored[:, 2:].astype(np.float64)))
        assert np.abs(p - np.stack([TRACKS[:, 2], 1 - TRACKS[:, 3]], 1)).max() < reach
    bundle = torch.load(result.file("00001_00002.pth"), weights_only=True)
    assert np.array_equal(bundle["tracks"].numpy(), stored)
    assert (bundle["query_t"], bundle["target_t"], bundle["rate"]) == (1, 2, 2)
    assert bundle["original_size"] == [H, W] and bundle["resized_size"] == [H, W]
    # what was certain is told apart from what was not, whatever the form
    assert np.array_equal(read.visible(found)[away(TRACKS)], (TRACKS[:, 2] < 0.5)[away(TRACKS)])


def away(values: Array) -> Array:
    """Where the occlusion is not so near to a half that rounding decides."""
    return np.abs(values[:, 2] - 0.5) > 1e-2


@given(
    numbers=st.lists(
        st.tuples(
            st.floats(-2000, 2000, width=32), st.floats(-2000, 2000, width=32),
            st.floats(0, 1, width=32), st.floats(0, 1, width=32),
        ),
        max_size=8,
    ),
    scores=st.sampled_from(["probability", "logit"]),
    dtype=st.sampled_from(["float32", "float16"]),
)  # fmt: skip
def test_no_form_of_tracks_gives_other_tracks(
    numbers: list[tuple[float, ...]], scores: Any, dtype: str
) -> None:
    values = np.array(numbers, np.float32).reshape(-1, 4)
    form = replace(FORM, scores=scores, dtype=dtype)
    encoded = form.encoded(values)
    assert encoded.dtype == dtype and np.isfinite(encoded).all()
    back = form.decoded(encoded)
    assert np.isfinite(back).all() and ((back[:, 2:] >= 0) & (back[:, 2:] <= 1)).all()
    # half floats have 11 bits, and logits as half floats some of a probability's
    near = np.abs(back - values)
    assert (near[:, :2] <= (0.5 if dtype == "float16" else 0)).all()
    assert (near[:, 2:] <= (2e-3 if dtype == "float16" else 1e-4)).all()


def test_pairs_and_files_of_tracks(tmp_path: Path) -> None:
    options = {**OPTIONS, "pairs": "window:1", "dtype": "float32", "scores": "probability"}
    read = PairTracks(opened(tmp_path, **options), FRAMES)
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2)]
    names = [f"{q:05d}_{t:05d}.{kind}" for q, t in pairs for kind in ("npy", "pth")]
    assert read.linked() == {PairTracks.places[0]: names}
    assert [(q, t) for q in read.queries for t in read.targets(q)] == pairs
    assert read.is_readable and read.is_full_grid and read.drawable_stems() == FRAMES.stems


def test_a_scene_reads_each_result_once(result: Result) -> None:
    Images.write_table(result.writer("item"), FRAMES)
    scene = SceneResults("demo", FRAMES, {"masks": result})
    assert scene[ObjectMasks] is scene[ObjectMasks]
    assert ObjectMasks in scene and PairTracks not in scene
    assert scene.key(ObjectMasks) == result.key
    assert json.loads(result.file("frames.json").read_text())["table"][1]["stem"] == STEM
