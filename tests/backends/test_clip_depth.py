"""Depth networks that see the clip, or the sky, through the code that users' weights take."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import random_weights
from dynprep.errors import UserError
from dynprep.models.video_depth_anything.framing import input_size, network_input
from dynprep.models.video_depth_anything.network import VideoDepthAnything
from dynprep.models.video_depth_anything.stream import Stream
from dynprep.models.video_depth_anything.windows import Joiner, windows
from tests.conftest import SMALL, RunHere

FEW = [*SMALL, "masks=none", "prior=none", "points=none"]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of made-up weights by the name of its maker in benchmarks/random_weights.py."""
    root = tmp_path_factory.mktemp("clip_weights")
    makers: dict[str, Callable[[Path], Path]] = {
        "moge": random_weights.moge,
        "video": random_weights.video_depth_anything,
        "metric_video": lambda f: random_weights.video_depth_anything(f, metric=True),
        "views": random_weights.depth_anything_3,
        "nested": lambda f: random_weights.depth_anything_3(f, kind="nested"),
        "single": lambda f: random_weights.depth_anything_3(f, kind="single"),
        "segformer": random_weights.segformer,
    }

    def get(name: str) -> Path:
        folder = root / name
        return folder if folder.is_dir() else makers[name](folder)

    return get


def frames(dataset: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(p)) for p in sorted((dataset / "images").iterdir())]


def maps(dataset: Path, folder: str, suffix: str = ".npy") -> list[np.ndarray]:
    return [np.load(p) for p in sorted((dataset / folder).glob(f"*{suffix}"))]


def only(folder: Path) -> Path:
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found


def stored(tmp_path: Path, stage: str) -> list[np.ndarray]:
    return [np.load(p) for p in sorted(only(tmp_path / "store" / stage).glob("*.npy"))]


@pytest.mark.thorough
def test_video_depth_anything_over_a_clip(
    weights: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    """Relative, in windows: a clip of more than one, of which the network sees each frame once."""
    encoded = []
    encode = VideoDepthAnything.encode

    def counted(self: VideoDepthAnything, images: torch.Tensor) -> list[torch.Tensor]:
        encoded.append(len(images))
        return encode(self, images)

    options = [
        *FEW, "data.count=26", "stages=[depth]", "depth=video_depth_anything_small",
        f"depth.checkpoint={weights('video')}", "resolution.depth_input=56",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VideoDepthAnything, "encode", counted)
        dataset = run_here(*options, name="all") / "dataset" / "demo"
    assert sum(encoded) == 26 and max(encoded) == 8
    found = stored(tmp_path, "depth")
    network, pictures = (
        open_video_network(weights("video") / "video_depth_anything_vits.pth"),
        frames(dataset),
    )
    size = input_size(*shape_of(pictures), 56)
    grid = size[0] // 14, size[1] // 14
    with torch.inference_mode():
        features = [
            network.encode(torch.from_numpy(network_input(picture, size))[None])
            for picture in pictures
        ]
        joiner, wanted = Joiner(same_unit=False), []
        for numbers in windows(26):
            levels = [torch.cat([features[k][level] for k in numbers]) for level in range(4)]
            wanted += joiner.add(list(enlarged(network.decode(levels, grid)[0], pictures)))
        wanted += joiner.rest()
    assert len(found) == 26
    for ours, theirs in zip(found, wanted, strict=False):
        assert np.abs(ours - theirs).max() < 1e-4 * np.ptp(theirs)
    shutil.rmtree(tmp_path / "store" / "depth")
    run_here(*options, "depth.streaming=true", "depth.at_once=5", name="streamed")
    stream, streamed = Stream(), []
    with torch.inference_mode():
        for one in features:
            values, states = network.decode(one, grid, stream.past())
            stream.add(states)
            streamed += list(enlarged(values, pictures))
    for ours, theirs in zip(stored(tmp_path, "depth"), streamed, strict=True):
        assert np.abs(ours - theirs).max() < 1e-4 * np.ptp(theirs)


def shape_of(pictures: list[np.ndarray]) -> tuple[int, int]:
    height, width = pictures[0].shape[:2]
    return height, width


def open_video_network(file: Path) -> VideoDepthAnything:
    network = VideoDepthAnything("vits").eval()
    network.load_state_dict(torch.load(file, weights_only=True))
    return network


def enlarged(values: torch.Tensor, pictures: list[np.ndarray]) -> np.ndarray:
    large = torch.nn.functional.interpolate(
        values[:, None], shape_of(pictures), mode="bilinear", align_corners=True
    )
    return large[:, 0].numpy()


def test_windows_that_are_turned_over_are_told(
    weights: Callable[[str], Path],
    run_here: RunHere,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also of the last window, of which not all frames are taken."""
    calls = []

    def turned(
        self: VideoDepthAnything, features: list[torch.Tensor], grid: Any, past: Any = None
    ) -> Any:
        ramp = torch.linspace(1, 2, grid[1] * 14).expand(len(features[0]), grid[0] * 14, -1)
        calls.append(1)
        return (ramp if len(calls) == 1 else 3 - ramp), []

    monkeypatch.setattr(VideoDepthAnything, "decode", turned)
    run = run_here(
        *FEW, "data.count=26", "stages=[depth]", "depth=video_depth_anything_small",
        f"depth.checkpoint={weights('video')}", "resolution.depth_input=28",
    )  # fmt: skip
    notes = json.loads((run / "run.json").read_text())["notes"]
    assert len(calls) == 2 and any(
        "1 of the clip's windows are turned over" in note for note in notes
    )


def test_video_depth_anything_in_metres(weights: Callable[[str], Path], run_here: RunHere) -> None:
    options = [
        *FEW, "data.count=3", "stages=[metric_depth]", "metric_depth=video_depth_anything_small",
        f"metric_depth.checkpoint={weights('metric_video')}", "resolution.depth_input=56",
    ]  # fmt: skip
    dataset = run_here(*options) / "dataset" / "demo"
    network = open_video_network(weights("metric_video") / "metric_video_depth_anything_vits.pth")
    pictures = frames(dataset)
    height, width = pictures[0].shape[:2]
    size = input_size(height, width, 56)
    inputs = [torch.from_numpy(network_input(one, size)) for one in pictures]
    window = torch.stack([*inputs, *[inputs[-1]] * 29])  # a short clip's last frame is repeated
    with torch.inference_mode():
        values, _ = network.decode(network.encode(window), (size[0] // 14, size[1] // 14))
    wanted = torch.nn.functional.interpolate(
        values[:3, None], pictures[0].shape[:2], mode="bilinear", align_corners=True
    )[:, 0]
    for k, disparity in enumerate(maps(dataset, "unidepth_disp")):
        depth = np.clip(wanted[k].numpy(), 1e-6, 1e6)
        assert np.abs(disparity * depth - 1).max() < 1e-3
    camera = json.loads((dataset / "unidepth_intrins.json").read_text())["00000"]
    assert camera[0] == pytest.approx(0.88 * pictures[0].shape[1], rel=0.01)


def test_moge_gives_depth_camera_normals_and_sky(
    weights: Callable[[str], Path], run_here: RunHere
) -> None:
    options = [
        *FEW, "data.count=3", "stages=[metric_depth,normals,sky]", "metric_depth=moge_2_vits", "normals=moge_2_vits",
        *(f"{group}.checkpoint={weights('moge')}" for group in ("metric_depth", "normals")), "sky=seen",
    ]  # fmt: skip
    dataset = run_here(*options, name="known") / "dataset" / "demo"
    skies = [np.asarray(Image.open(p)) > 0 for p in sorted((dataset / "sky").iterdir())]
    disparities, normals = maps(dataset, "unidepth_disp"), maps(dataset, "normals")
    assert len(skies) == len(disparities) == len(normals) == 3
    assert any(sky.any() for sky in skies) and not all(sky.all() for sky in skies)
    for sky, disparity, normal in zip(skies, disparities, normals, strict=True):
        assert np.allclose(disparity[sky], 1e-6) and (disparity[~sky] > 1e-6).all()
        length = np.linalg.norm(normal, axis=-1)
        assert np.allclose(length[length > 0], 1, atol=1e-5)
    known = json.loads((dataset / "unidepth_intrins.json").read_text())
    width = frames(dataset)[0].shape[1]
    assert known["00000"][0] == pytest.approx(0.88 * width, rel=0.01)  # the demo's own


@pytest.mark.thorough
def test_moge_sees_the_focal_length_where_none_is_known(
    weights: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    from tests.conftest import sliding, write_frames

    clip = write_frames(tmp_path / "clip", sliding(2, 64, 96))
    options = [
        "data=frames", f"data.path={clip}", "stages=[metric_depth]", "metric_depth=moge_2_vits",
        f"metric_depth.checkpoint={weights('moge')}", "masks=none",
    ]  # fmt: skip
    dataset = run_here(*options, name="each") / "dataset" / "clip"
    seen = json.loads((dataset / "unidepth_intrins.json").read_text())
    assert all(row[0] == row[1] > 0 and row[2:] == [47.5, 31.5] for row in seen.values())
    dataset = run_here(*options, "camera.shared=true", name="shared") / "dataset" / "clip"
    shared = json.loads((dataset / "unidepth_intrins.json").read_text())
    assert shared["00000"] == shared["00001"]
    assert shared["00000"][0] == pytest.approx(np.median([row[0] for row in seen.values()]))


def test_depth_anything_3_on_single_images(
    weights: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    """Relative and metric by one network; the sky is left out of the aligned disparity."""
    from dynprep.models.depth_anything_3.framing import network_input
    from dynprep.models.depth_anything_3.network import OneView

    single = [
        option
        for group in ("depth", "metric_depth")
        for option in (
            f"{group}.checkpoint={weights('single')}", f"{group}.variant=small", f"{group}.parameters=null",
            f"{group}.side=70",
        )
    ]  # fmt: skip
    options = [
        *FEW, "data.count=3", "stages=[masks,metric_depth,depth,alignment]", "depth=depth_anything_3_mono",
        "metric_depth=depth_anything_3_metric", *single,
    ]  # fmt: skip
    dataset = run_here(*options) / "dataset" / "demo"
    relative, metric = stored(tmp_path, "depth"), maps(dataset, "unidepth_disp")
    aligned = maps(dataset, "aligned_depth_anything_v2")
    cameras = json.loads((dataset / "unidepth_intrins.json").read_text())
    network = OneView("small").eval()
    from safetensors.torch import load_file

    tensors = load_file(weights("single") / "model.safetensors")
    network.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items()})
    found_sky = False
    for k, picture in enumerate(frames(dataset)):
        pixels = torch.from_numpy(network_input(picture, 70))[None]
        with torch.inference_mode():
            depth, sky = network(pixels)
        size = picture.shape[:2]
        full = torch.nn.functional.interpolate(depth[:, None], size, mode="bilinear")[0, 0].numpy()
        above = (
            torch.nn.functional.interpolate(sky[:, None].float(), size, mode="nearest-exact")[
                0, 0
            ].numpy()
            > 0
        )
        found_sky |= bool(above.any())
        assert (relative[k][above] == 0).all() and np.allclose(aligned[k][above], 0.001)
        assert np.allclose(relative[k][~above] * full[~above], 1, rtol=1e-4)
        fx, fy = cameras[f"{k:05d}"][:2]
        focal = (
            fx * pixels.shape[3] / picture.shape[1] + fy * pixels.shape[2] / picture.shape[0]
        ) / 2
        metres = full[~above] * focal / 300
        assert np.allclose(metric[k][~above] * metres, 1, rtol=1e-4)
        assert np.allclose(metric[k][above], 1e-6)
    assert found_sky


def test_depth_anything_3_gives_depth_and_poses_of_a_clip(
    weights: Callable[[str], Path], run_here: RunHere
) -> None:
    options = [
        *FEW, "data.count=9", "stages=[metric_depth,cameras]", "metric_depth=depth_anything_3_small",
        "poses=metric_depth", f"metric_depth.checkpoint={weights('views')}", "metric_depth.side=70",
        "metric_depth.window=4", "metric_depth.overlap=2",
    ]  # fmt: skip
    dataset = run_here(*options) / "dataset" / "demo"
    cameras = json.loads((dataset / "cameras.json").read_text())
    poses = np.array([frame["camera_to_world"] for frame in cameras["frames"]])
    assert poses.shape == (9, 4, 4) and np.allclose(poses[0], np.eye(4), atol=1e-6)
    turns = poses[:, :3, :3]
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-6)
    assert not cameras["is_metric"] and cameras["unit"] == "assumed m"
    disparities = maps(dataset, "unidepth_disp")
    assert len(disparities) == 9
    rows = json.loads((dataset / "unidepth_intrins.json").read_text())
    assert [frame["intrinsics"] for frame in cameras["frames"]] == list(rows.values())


def test_nested_networks_tell_metres_and_sky(
    weights: Callable[[str], Path], run_here: RunHere, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one for several views tells shape and poses, the one for single images metres and sky."""
    options = [
        *FEW, "data.count=3", "stages=[metric_depth,cameras,sky]", "metric_depth=depth_anything_3_nested", "sky=seen",
        "poses=metric_depth", f"metric_depth.checkpoint={weights('nested')}", "metric_depth.side=70",
        "metric_depth.variant=small", "metric_depth.parameters=null",
    ]  # fmt: skip
    dataset = run_here(*options) / "dataset" / "demo"
    said = capsys.readouterr().err
    assert "tensors of the checkpoint are not used" not in said
    assert "the camera that you or the data give is not used" in said  # the demo's own is known
    cameras = json.loads((dataset / "cameras.json").read_text())
    assert cameras["is_metric"] and cameras["unit"] == "m"

    from safetensors.torch import load_file

    from dynprep.models.depth_anything_3.framing import network_input as seen_by
    from dynprep.models.depth_anything_3.network import Nested, metric_scale

    network = Nested("small", "small").eval()
    tensors = load_file(weights("nested") / "model.safetensors")
    network.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items()})
    pictures = frames(dataset)
    pixels = torch.from_numpy(np.stack([seen_by(picture, 70) for picture in pictures]))
    with torch.inference_mode():
        views = network.da3(pixels)
        depth, sky = network.da3_metric(pixels)
        metres = metric_scale(views, depth, sky)
        assert metric_scale(views, depth, torch.ones_like(sky)) is None
    assert metres is not None
    skies = [np.asarray(Image.open(p)) > 0 for p in sorted((dataset / "sky").iterdir())]
    for k, disparity in enumerate(maps(dataset, "unidepth_disp")):
        full = torch.nn.functional.interpolate(
            views.depth[k][None, None], pictures[k].shape[:2], mode="bilinear"
        )[0, 0].numpy()
        assert np.allclose(disparity[~skies[k]] * full[~skies[k]] * metres, 1, rtol=1e-3)
        assert np.allclose(disparity[skies[k]], 1e-6)
    assert any(one.any() for one in skies)


def test_published_nested_keys_are_known() -> None:
    """What the several-view network has no use for is known under its prefix too."""
    from dynprep.models.depth_anything_3.network import UNUSED_OF_NESTED, Nested
    from tests.models.upstream import Upstream

    keys = Upstream("depth_anything_3").keys
    published = {
        **{f"da3.{k}": v for k, v in keys["da3-giant"].items()},
        **{f"da3_metric.{k}": v for k, v in keys["da3metric-large"].items()},
    }
    with torch.device("meta"):
        own = {k: list(v.shape) for k, v in Nested().state_dict().items()}
    assert own == {k: v for k, v in published.items() if not k.startswith(UNUSED_OF_NESTED)}


def test_sky_counts_in_no_fit(
    weights: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    """Scale and shift are those of the pixels that no backend takes for sky, whatever the method."""
    single = [
        f"depth.checkpoint={weights('single')}", "depth.variant=small", "depth.parameters=null", "depth.side=70",
    ]  # fmt: skip
    for method in ("lstsq", "median"):
        options = [
            *FEW, "data.count=2", "stages=[masks,metric_depth,depth,alignment,sky]", "depth=depth_anything_3_mono",
            f"alignment={method}", "sky=seen", "alignment.use_png=false", *single,
        ]  # fmt: skip
        dataset = run_here(*options, name=method) / "dataset" / "demo"
        fits = json.loads((dataset / "alignment.json").read_text())["frames"]
        relative, metric = stored(tmp_path, "depth"), maps(dataset, "unidepth_disp")
        skies = [np.asarray(Image.open(p)) > 0 for p in sorted((dataset / "sky").iterdir())]
        assert any(sky.any() for sky in skies)
        valid = sorted(only(tmp_path / "store" / "metric_depth").glob("*.valid.png"))
        for k, sky in enumerate(skies):
            used = ~sky
            if method == "lstsq" and valid:
                used &= np.asarray(Image.open(valid[k])) > 0
            m, r = relative[k][used].astype(np.float64), metric[k][used].astype(np.float64)
            fit = fits[f"{k:05d}"]
            assert fit["pixels"] == used.sum()
            if fit["fallback"]:
                continue
            if method == "lstsq":
                assert np.allclose(np.polyfit(m, r, 1), [fit["scale"], fit["shift"]], rtol=1e-4)
            else:
                ratio = np.median((r - np.median(r) + 1e-8) / (m - np.median(m) + 1e-8))
                assert fit["scale"] == pytest.approx(float(ratio))


def test_poses_and_sky_that_nothing_sees_are_refused(run_here: RunHere) -> None:
    with pytest.raises(UserError, match="sees no poses"):
        run_here(*FEW, "poses=metric_depth", "stages=[metric_depth,cameras]")
    with pytest.raises(UserError, match="neither metric_depth nor depth sees the sky"):
        run_here(*FEW, "sky=seen", "stages=[sky]", name="other")


def test_segformers_sky_is_the_librarys_and_is_left_out(
    weights: Callable[[str], Path], run_here: RunHere
) -> None:
    from transformers import AutoImageProcessor, SegformerForSemanticSegmentation

    folder = weights("segformer")
    options = [
        *FEW, "data.count=3", "sky=segformer_b0", f"sky.checkpoint={folder}", "sky.parameters=null",
        "stages=[masks,metric_depth,depth,alignment,sky]",
    ]  # fmt: skip
    dataset = run_here(*options) / "dataset" / "demo"
    prepare = AutoImageProcessor.from_pretrained(folder, backend="pil")
    network = SegformerForSemanticSegmentation.from_pretrained(folder).eval()
    aligned = maps(dataset, "aligned_depth_anything_v2")
    seen = 0
    for k, picture in enumerate(frames(dataset)):
        with torch.inference_mode():
            output = network(**prepare(picture, return_tensors="pt"))
        names = prepare.post_process_semantic_segmentation(output, [picture.shape[:2]])[0]
        sky = np.asarray(Image.open(dataset / "sky" / f"{k:05d}.png")) > 0
        assert np.array_equal(sky, names.numpy() == 2)
        assert np.allclose(aligned[k][sky], 0.001)
        seen += int(sky.sum())
    assert seen > 0
    with pytest.raises(UserError, match=r"sky\.label=cloud"):
        run_here(*options, "sky.label=cloud", name="other")


def test_a_checkpoint_without_its_sizes_is_refused(
    weights: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    content = torch.load(weights("moge") / "model.pt", weights_only=True)
    torch.save(content["model"], tmp_path / "bare.pt")
    with pytest.raises(UserError, match="holds no model_config"):
        run_here(
            *FEW, "data.count=2", "stages=[metric_depth]", "metric_depth=moge_2_vits",
            f"metric_depth.checkpoint={tmp_path / 'bare.pt'}",
        )  # fmt: skip
