"""Every backend with a network, through the code that users' weights take."""

import gc
import json
import os
import shutil
import subprocess
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import random_weights
from dynprep.backends.hugging_face import HuggingFaceNetwork
from dynprep.backends.marigold import Marigold, MarigoldSample
from dynprep.backends.network import Network
from dynprep.config.build import settings
from dynprep.errors import UserError
from dynprep.pipeline.trainer import TrainerOptions
from tests.conftest import SMALL, RunHere, composed, tree

TINY = [
    *SMALL,
    "data.count=4",
    "masks=none",
    "prior=none",
    "stages=[masks,metric_depth,depth,alignment]",
]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of made-up weights by the name of its maker in benchmarks/random_weights.py."""
    root = tmp_path_factory.mktemp("weights")
    makers = {
        "depth_anything": random_weights.depth_anything,
        "metric": lambda f: random_weights.depth_anything(f, metric=True),
        "dpt": random_weights.dpt,
        "dpt_hybrid": random_weights.dpt_hybrid,
        "midas_beit_large": random_weights.midas_beit,
        "zoedepth": random_weights.zoedepth,
        "depth_pro": random_weights.depth_pro,
        "marigold": random_weights.marigold,
        "lcm": lambda f: random_weights.marigold(f, lcm=True),
        "marigold_normals": lambda f: random_weights.marigold(f, normals=True),
        "unidepth": random_weights.unidepth,
        "prompted": random_weights.prompt_depth_anything,
    }

    def get(name: str) -> Path:
        folder = root / name
        return folder if folder.is_dir() else makers[name](folder)

    return get


def only(folder: Path) -> Path:
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found


def frames(dataset: Path) -> list[np.ndarray]:
    from PIL import Image

    return [np.asarray(Image.open(p)) for p in sorted((dataset / "images").iterdir())]


def stored(tmp_path: Path, stage: str) -> Path:
    return only(tmp_path / "store" / stage)


@pytest.mark.parametrize(
    "choice", ["depth_anything_v2_large", "depth_anything_v1_small", "dpt_large"]
)
def test_relative_depth_is_the_librarys(
    choice: str, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    from PIL import Image
    from transformers import pipeline

    weights = made("dpt" if choice == "dpt_large" else "depth_anything")
    folder = run_here(
        *TINY, f"depth={choice}", f"depth.checkpoint={weights}", "depth.parameters=null"
    )
    reference = pipeline("depth-estimation", model=str(weights), device="cpu")
    dataset = folder / "dataset" / "demo"
    for k, image in enumerate(frames(dataset)):
        wanted = reference(Image.fromarray(image))["predicted_depth"].numpy()
        mine = np.load(stored(tmp_path, "depth") / f"{k:05d}.npy")
        assert mine.shape == image.shape[:2] and wanted.std() > 0
        assert np.abs(mine - wanted).max() < 1e-3 * np.ptp(wanted)
        png = np.asarray(Image.open(dataset / "depth_anything_v2" / f"{k:05d}.png"))
        unit = (mine.astype(np.float64) - mine.min()) / np.ptp(mine.astype(np.float64))
        assert np.array_equal(png, (unit * 65535).astype(np.uint16))


@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_published_sizes(size: str) -> None:
    """Configurations of the three sizes give the number of parameters that the YAML says."""
    import yaml
    from transformers import AutoModelForDepthEstimation

    from tests.conftest import ROOT

    config = random_weights.depth_anything_config(size)
    with torch.device("meta"):
        network = AutoModelForDepthEstimation.from_config(config)
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    for version in ("v1", "v2"):
        node = yaml.safe_load(
            (ROOT / f"conf/depth/depth_anything_{version}_{size}.yaml").read_text()
        )
        assert node["parameters"] == pytest.approx(millions, rel=0.01)


@pytest.mark.thorough
@pytest.mark.parametrize("size", ["small", "base"])  # large differs in its widths alone
def test_published_sizes_run_as_the_librarys_pipeline(
    size: str, run_here: RunHere, tmp_path: Path
) -> None:
    from PIL import Image
    from transformers import (
        DepthAnythingForDepthEstimation,
        pipeline,
    )

    config = random_weights.depth_anything_config(size)
    weights = tmp_path / "weights"
    torch.manual_seed(1)
    DepthAnythingForDepthEstimation(config).save_pretrained(weights)
    random_weights.dpt_preprocessor(weights, side=140)
    folder = run_here(
        *TINY, "data.count=1", "stages=[depth]", f"depth=depth_anything_v2_{size}",
        f"depth.checkpoint={weights}",
        "resolution.depth_input=140",
    )  # fmt: skip
    image = frames(folder / "dataset" / "demo")[0]
    reference = pipeline("depth-estimation", model=str(weights), device="cpu")
    wanted = reference(Image.fromarray(image))["predicted_depth"].numpy()
    mine = np.load(stored(tmp_path, "depth") / "00000.npy")
    assert np.abs(mine - wanted).max() < 1e-3 * np.ptp(wanted)


def test_metric_depth_anything(
    made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    from PIL import Image
    from transformers import pipeline

    weights = made("metric")
    folder = run_here(
        *TINY, "metric_depth=depth_anything_v2_indoor_small", f"metric_depth.checkpoint={weights}",
        "metric_depth.parameters=null",
    )  # fmt: skip
    dataset = folder / "dataset" / "demo"
    reference = pipeline("depth-estimation", model=str(weights), device="cpu")
    intrinsics = json.loads((dataset / "unidepth_intrins.json").read_text())
    for k, image in enumerate(frames(dataset)):
        depth = reference(Image.fromarray(image))["predicted_depth"].numpy()
        disparity = np.load(dataset / "unidepth_disp" / f"{k:05d}.npy")
        assert np.median(np.abs(disparity * depth - 1)) < 1e-3
        assert intrinsics[f"{k:05d}"][0] == pytest.approx(0.88 * image.shape[1], rel=0.01)


def test_prompt_depth_anything_is_the_librarys_with_the_sensors_depth(
    made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    import cv2
    from transformers import AutoImageProcessor, PromptDepthAnythingForDepthEstimation

    weights = made("prompted")
    options = [*TINY, "stages=[metric_depth]", "metric_depth.fill=nearest"]
    filled = run_here(*options, "metric_depth=sensor", name="sensor") / "dataset" / "demo"
    dataset = run_here(
        *options, "metric_depth=prompt_depth_anything_small", f"metric_depth.checkpoint={weights}",
        "metric_depth.parameters=null", "metric_depth.prompt_side=24", "batch_size=2", name="prompted",
    ) / "dataset" / "demo"  # fmt: skip
    prepare = AutoImageProcessor.from_pretrained(weights, backend="pil")
    network = PromptDepthAnythingForDepthEstimation.from_pretrained(weights).eval()
    for k, image in enumerate(frames(dataset)):
        sensor = 1 / np.load(filled / "unidepth_disp" / f"{k:05d}.npy")
        height, width = sensor.shape
        prompt = cv2.resize(sensor, (round(width * 24 / height), 24), interpolation=cv2.INTER_AREA)
        inputs = prepare(image, prompt_depth=prompt, prompt_scale_to_meter=1.0, return_tensors="pt")
        with torch.inference_mode():
            output = network(**inputs)
        wanted = prepare.post_process_depth_estimation(output, target_sizes=[sensor.shape])[0][
            "predicted_depth"
        ]
        low = output.predicted_depth
        depth = 1 / np.load(dataset / "unidepth_disp" / f"{k:05d}.npy")
        assert np.allclose(depth, wanted.clamp(low.min(), low.max()).numpy(), rtol=1e-4)
        # the prompt's range is the answer's
        assert prompt.min() - 1e-3 <= depth.min() and depth.max() <= prompt.max() + 1e-3


@pytest.mark.parametrize(("size", "ending"), [("small", "_small"), ("large", "")])
def test_published_sizes_of_prompt_depth_anything(size: str, ending: str) -> None:
    from transformers import PromptDepthAnythingForDepthEstimation

    from dynprep.conf_folder import CONF, read_choice

    with torch.device("meta"):
        network = PromptDepthAnythingForDepthEstimation(
            random_weights.prompt_depth_anything_config(size)
        )
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    node = read_choice(CONF / "metric_depth" / f"prompt_depth_anything{ending}.yaml")
    assert node["parameters"] == pytest.approx(millions, rel=0.01)
    # what the hub's file takes, at four bytes a number
    on_the_hub = {"small": 100e6, "large": 1.36e9}[size]
    assert millions * 4e6 == pytest.approx(on_the_hub, rel=0.02)


def test_zoedepth_follows_its_formula(
    made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    """The library's own post-processing needs torchvision: held to its documented formula."""
    from torch.nn import functional as F
    from transformers import AutoImageProcessor, ZoeDepthForDepthEstimation

    weights = made("zoedepth")
    folder = run_here(
        *TINY, "metric_depth=zoedepth", f"metric_depth.checkpoint={weights}", "metric_depth.parameters=null",
        "batch_size=4",
    )  # fmt: skip
    network = ZoeDepthForDepthEstimation.from_pretrained(weights).eval()
    prepare = AutoImageProcessor.from_pretrained(weights, backend="pil")
    dataset = folder / "dataset" / "demo"
    for k, image in enumerate(frames(dataset)):
        height, width = image.shape[:2]
        with torch.inference_mode():
            low = network(**prepare(image, return_tensors="pt")).predicted_depth
        rows, columns = int(np.sqrt(height / 2) * 3), int(np.sqrt(width / 2) * 3)
        size = (height + 2 * rows, width + 2 * columns)
        full = F.interpolate(low[None], size, mode="bicubic", align_corners=False)[0, 0].numpy()
        wanted = np.clip(full[rows:-rows, columns:-columns], low.min().item(), low.max().item())
        disparity = np.load(dataset / "unidepth_disp" / f"{k:05d}.npy")
        assert np.allclose(1 / disparity, wanted, rtol=1e-4)


def test_depth_pro_follows_its_formula(
    made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    from torch.nn import functional as F
    from transformers import DepthProForDepthEstimation

    weights = made("depth_pro")
    options = [
        "metric_depth=depth_pro",
        f"metric_depth.checkpoint={weights}",
        "metric_depth.parameters=null",
    ]
    told = run_here(*TINY, *options, name="told") / "dataset" / "demo"
    images = told / "images"
    source = ["data=frames", f"data.path={images}", "data.name=seen", "stages=[metric_depth]"]
    seen = run_here(*source, *options, name="seen") / "dataset" / "seen"
    network = DepthProForDepthEstimation.from_pretrained(weights).eval()
    for k, image in enumerate(frames(told)):
        height, width = image.shape[:2]
        pixels = (torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
        pixels = F.interpolate(pixels, (128, 128), mode="bilinear", align_corners=False)
        with torch.inference_mode():
            output = network(pixel_values=pixels)
        focal = 0.5 * width / torch.tan(0.5 * torch.deg2rad(output.field_of_view[0]))
        for dataset, f in ((seen, float(focal)), (told, 0.88 * width)):
            inverse = output.predicted_depth[None] * width / f
            full = F.interpolate(inverse, (height, width), mode="bilinear", align_corners=False)[
                0, 0
            ]
            disparity = np.load(dataset / "unidepth_disp" / f"{k:05d}.npy")
            assert np.allclose(disparity, full.clamp(1e-4, 1e4).numpy(), rtol=1e-4)
            camera = json.loads((dataset / "unidepth_intrins.json").read_text())[f"{k:05d}"]
            assert camera[0] == pytest.approx(f, rel=1e-3)


@pytest.mark.parametrize(("choice", "weights"), [("marigold", "marigold"), ("marigold_lcm", "lcm")])
def test_marigold_is_the_librarys_with_each_frames_own_noise(
    choice: str, weights: str, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    from diffusers import MarigoldDepthPipeline

    from dynprep.backends.marigold import frame_seed

    folder = made(weights)
    options = [
        *SMALL, "data.count=3", "stages=[prior]", f"prior={choice}", f"prior.checkpoint={folder}", "seed=5",
        "prior.parameters=null", "prior.steps=2", "prior.ensemble=3", "prior.at_once=2",
        "resolution.prior_input=64",
    ]  # fmt: skip
    dataset = run_here(*options) / "dataset" / "demo"
    pipe = MarigoldDepthPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    maps = [np.load(p) for p in sorted((dataset / "marigold" / "depth_npy").iterdir())]
    assert len(maps) == 3 and not np.allclose(maps[0], maps[1], atol=1e-3)
    for k, image in enumerate(frames(dataset)):
        tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())[None] / 255
        wanted = pipe(
            tensor, num_inference_steps=2, ensemble_size=3, batch_size=2, processing_resolution=64,
            generator=torch.Generator().manual_seed(frame_seed(5, k)), output_type="np",
        ).prediction[0, :, :, 0]  # fmt: skip
        assert maps[k].shape == image.shape[:2] and maps[k].dtype == np.float32
        assert np.abs(maps[k] - np.clip(wanted, 0, 1)).max() < 1e-5


def test_marigold_normals_are_the_librarys_in_the_cameras_axes(
    made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    from diffusers import MarigoldNormalsPipeline

    from dynprep.backends.marigold import frame_seed

    folder = made("marigold_normals")
    options = [
        *SMALL, "data.count=2", "stages=[normals]", "normals=marigold", f"normals.checkpoint={folder}", "seed=5",
        "normals.parameters=null", "normals.steps=2", "normals.ensemble=3", "normals.at_once=2",
        "resolution.prior_input=64",
    ]  # fmt: skip
    dataset = run_here(*options) / "dataset" / "demo"
    pipe = MarigoldNormalsPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    maps = [np.load(p) for p in sorted((dataset / "normals").iterdir())]
    assert len(maps) == 2
    for k, image in enumerate(frames(dataset)):
        tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())[None] / 255
        wanted = pipe(
            tensor, num_inference_steps=2, ensemble_size=3, batch_size=2, processing_resolution=64,
            generator=torch.Generator().manual_seed(frame_seed(5, k)), output_type="np",
        ).prediction[0]  # fmt: skip
        assert maps[k].shape == (*image.shape[:2], 3) and maps[k].dtype == np.float32
        # the library has y upwards and z towards the viewer; a camera here looks along z with y downwards
        assert np.abs(maps[k] - wanted * [1, -1, -1]).max() < 1e-5
        assert np.abs(np.linalg.norm(maps[k], axis=-1) - 1).max() < 1e-5


def test_a_marigold_for_depth_is_refused_for_normals(
    made: Callable[[str], Path], run_here: RunHere
) -> None:
    options = [
        f"normals.checkpoint={made('marigold')}",
        "normals.parameters=null",
        "resolution.prior_input=64",
    ]
    with pytest.raises(UserError, match="gives depth, not normals"):
        run_here(*SMALL, "data.count=2", "stages=[normals]", "normals=marigold", *options)


def test_marigold_as_relative_depth_turns_depth_over(
    made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    shared = [f"checkpoint={made('marigold')}", "parameters=null", "steps=1"]
    options = [f"{group}.{o}" for group in ("prior", "depth") for o in shared]
    dataset = run_here(
        *SMALL, "data.count=2", "stages=[depth,prior]", "prior=marigold", "depth=marigold", *options,
        "resolution.prior_input=64",
    ) / "dataset" / "demo"  # fmt: skip
    depth = np.load(dataset / "marigold" / "depth_npy" / "00001_pred.npy")
    disparity = np.load(stored(tmp_path, "depth") / "00001.npy")
    order = np.argsort(depth.ravel())
    assert (np.diff(disparity.ravel()[order]) <= 1e-6).all() and disparity.std() > 0


def test_marigold_lets_go_of_its_network_at_once(
    made: Callable[[str], Path],
) -> None:
    """The next stage budgets what is left of the device's memory: no garbage collection comes before."""
    options = [
        "prior=marigold",
        f"prior.checkpoint={made('marigold')}",
        "prior.steps=1",
        "resolution.prior_input=64",
        "dataset_dir=OUT",
        "store_dir=STORE",
    ]
    stage = settings(*composed(options)).stages["prior"]
    assert isinstance(stage, Marigold)
    gc.collect()
    gc.disable()
    try:
        stage.setup("cpu")
        unet = weakref.ref(stage.network.unet)
        assert stage.depths([MarigoldSample(np.zeros((64, 64, 3), np.uint8), 1)])
        stage.release()
        assert unet() is None
    finally:
        gc.enable()


def test_an_ensemble_is_merged_where_median_has_no_deterministic_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On CUDA, ``median`` raises while deterministic algorithms are asked for."""
    from dynprep.backends.marigold_pipeline import Float32Marigold

    usual = torch.median

    def as_on_cuda(*values: object, **named: object) -> object:
        if torch.are_deterministic_algorithms_enabled():
            raise RuntimeError(
                "median CUDA with indices output has no deterministic implementation"
            )
        return usual(*values, **named)

    monkeypatch.setattr(torch, "median", as_on_cuda)
    members = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, _ = Float32Marigold.ensemble_depth(members)
    torch.use_deterministic_algorithms(True)
    try:
        strict, _ = Float32Marigold.ensemble_depth(members)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(plain, strict)


@pytest.mark.slow
def test_marigolds_bytes_do_not_depend_on_processes(
    made: Callable[[str], Path], run_here: RunHere
) -> None:
    options = [
        *SMALL, "data.count=5", "stages=[prior]", "prior=marigold_lcm", f"prior.checkpoint={made('lcm')}",
        "prior.parameters=null", "prior.steps=2", "resolution.prior_input=64",
    ]  # fmt: skip
    one = run_here(*options, name="one") / "dataset" / "demo" / "marigold"
    two = run_here(
        *options,
        "trainer=ddp_cpu",
        "batch_size=2",
        f"store_dir={one.parents[3] / 'other'}",
        name="two",
    )
    a, b = tree(one), tree(two / "dataset" / "demo" / "marigold")
    assert a.keys() == b.keys() and len(a) == 5
    for name in a:  # one thread a process and two: sums in another order
        x = np.frombuffer(a[name][128:], np.float32)
        assert np.allclose(x, np.frombuffer(b[name][128:], np.float32), atol=1e-5)


class TestUniDepth:
    """UniDepth's backend: known cameras, the clip's, the seen one; checkpoints as published."""

    options = (
        "metric_depth=unidepth_v2_vits14",
        "metric_depth.resolution_level=0",
        "stages=[metric_depth]",
    )

    def clip(self, tmp_path: Path) -> list[str]:
        from tests.conftest import sliding, write_frames

        folder = write_frames(tmp_path / "clip", sliding(3, 60, 110))
        return ["data=frames", f"data.path={folder}"]

    def test_the_seen_camera_and_a_known_one(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        from dynprep.models import UniDepthV2
        from dynprep.models.unidepth.config import configured

        given = [*self.clip(tmp_path), *self.options, f"metric_depth.checkpoint={made('unidepth')}"]
        seen = run_here(*given, name="seen") / "dataset" / "clip"
        config = json.loads((made("unidepth") / "config.json").read_text())
        network = UniDepthV2(configured("vits14", config, "here")).eval()
        network.load_published(random_weights.unidepth_tensors())
        image = torch.from_numpy(frames(seen)[1].copy()).permute(2, 0, 1)[None]
        wanted = network.infer(image, resolution_level=0)
        disparity = np.load(seen / "unidepth_disp" / "00001.npy")
        assert np.allclose(1 / disparity, wanted["depth"][0, 0].numpy(), rtol=1e-4)
        camera = json.loads((seen / "unidepth_intrins.json").read_text())["00001"]
        k = wanted["intrinsics"][0].numpy()
        assert np.allclose(camera, [k[0, 0], k[1, 1], k[0, 2] - 0.5, k[1, 2] - 0.5], rtol=1e-5)

        known = run_here(*given, "camera.focal=90", name="known") / "dataset" / "clip"
        told = json.loads((known / "unidepth_intrins.json").read_text())
        assert all(row == [90, 90, 54.5, 29.5] for row in told.values())
        k = torch.tensor([[90.0, 0, 55], [0, 90, 30], [0, 0, 1]])
        wanted = network.infer(image, k, resolution_level=0)
        disparity = np.load(known / "unidepth_disp" / "00001.npy")
        assert np.allclose(1 / disparity, wanted["depth"][0, 0].numpy(), rtol=1e-4)

    def test_as_published_the_principal_point_counts_from_the_corner(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        given = [*self.clip(tmp_path), "data.max_frames=1", *self.options]
        given.append(f"metric_depth.checkpoint={made('unidepth')}")
        rows, depth = [], []
        for published in ("false", "true"):
            run = run_here(*given, f"metric_depth.published={published}", name=published)
            dataset = run / "dataset" / "clip"
            rows.append(json.loads((dataset / "unidepth_intrins.json").read_text())["00000"])
            depth.append(tree(dataset / "unidepth_disp"))
        assert np.allclose(np.subtract(rows[1], rows[0]), [0, 0, 0.5, 0.5], atol=1e-4)
        assert depth[0] == depth[1]  # on a CPU the published autocast changes nothing

    def test_as_published_it_runs_under_autocast_on_a_gpu(self) -> None:
        folders = ["dataset_dir=OUT", "store_dir=STORE"]
        for published, precision in ((False, "32-true"), (True, "16-mixed")):
            options = [f"metric_depth.published={str(published).lower()}", *folders]
            stage = settings(*composed([*self.options, *options])).stages["metric_depth"]
            assert isinstance(stage, Network) and stage.inference.precision == "32-true"
            assert stage.key_options().get("published", False) is published
            stage.device = torch.device("cuda")
            assert stage.inference.precision == precision

    def test_one_camera_for_the_clip(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        given = [*self.clip(tmp_path), *self.options, f"metric_depth.checkpoint={made('unidepth')}"]
        each = run_here(*given, name="each") / "dataset" / "clip" / "unidepth_intrins.json"
        one = (
            run_here(*given, "camera.shared=true", name="one")
            / "dataset"
            / "clip"
            / "unidepth_intrins.json"
        )
        rows = np.array(list(json.loads(each.read_text()).values()))
        assert rows.std(0).max() > 0
        for row in json.loads(one.read_text()).values():
            assert np.allclose(row, np.median(rows, 0), rtol=1e-5)

    def test_published_forms_of_a_checkpoint(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        """A folder like the hub's, its file alone, and a torch file with the tensors under a key."""
        folder = made("unidepth")
        packed = tmp_path / "packed" / "weights.bin"
        packed.parent.mkdir()
        torch.save({"model": random_weights.unidepth_tensors()}, packed)
        shutil.copy(folder / "config.json", packed.parent)
        found = []
        for k, place in enumerate((folder, folder / "model.safetensors", packed)):
            given = [*self.clip(tmp_path), "data.max_frames=1", *self.options]
            run = run_here(*given, f"metric_depth.checkpoint={place}", name=f"run{k}")
            found.append(tree(run / "dataset" / "clip" / "unidepth_disp"))
        assert found[0] == found[1] == found[2] and found[0]


# what transformers 4.2x and 4.3x wrote into every configuration, and does not know any more
OLD_FIELDS = {
    "_commit_hash": None, "add_cross_attention": False, "bad_words_ids": None, "num_beams": 1, "pruned_heads": {},
    "tie_encoder_decoder": False, "torchscript": False, "use_bfloat16": False, "torch_dtype": "float32",
    "transformers_version": "4.26.0.dev0", "output_past": True,
}  # fmt: skip
NEW_FIELDS = (
    "dtype", "pooler_act", "pooler_output_size", "use_bias_in_fusion_residual", "chunk_size_feed_forward",
    "is_encoder_decoder", "problem_type", "return_dict",
)  # fmt: skip


def in_the_old_form(folder: Path, place: Path) -> Path:
    """The same network as transformers 4.2x kept it: a pickle of tensors, buffers among them, and old fields."""
    from safetensors.torch import load_file

    place.mkdir()
    shutil.copy(folder / "preprocessor_config.json", place)
    config = json.loads((folder / "config.json").read_text())
    outer = {k: v for k, v in config.items() if k not in NEW_FIELDS}
    inner = {k: v for k, v in config["backbone_config"].items() if k not in NEW_FIELDS}
    timm = {"backbone": None, "use_timm_backbone": False, "use_pretrained_backbone": False}
    old = {**outer, **OLD_FIELDS, **timm, "backbone_config": {**inner, **OLD_FIELDS}}
    (place / "config.json").write_text(json.dumps(old))
    tensors = load_file(folder / "model.safetensors")
    for name in list(tensors):
        if name.endswith("relative_position_bias_table"):  # once a buffer that was saved
            tensors[name.replace("bias_table", "index")] = torch.zeros(17, 17, dtype=torch.int64)
    torch.save(tensors, place / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return place


@pytest.mark.parametrize("choice", ["dpt_hybrid", "midas_beit_large"])
def test_other_backbones_load_in_the_old_and_the_new_form(
    choice: str, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    new = made(choice)
    maps = []
    for place in (new, in_the_old_form(new, tmp_path / "old")):
        options = [f"depth={choice}", f"depth.checkpoint={place}", "depth.parameters=null"]
        run_here(*SMALL, "data.count=2", "stages=[depth]", *options, name=place.name)
        found = {p.parent.name: p for p in (tmp_path / "store" / "depth").glob("*/00001.npy")}
        key = (set(found) - set(maps)).pop()
        maps.append(key)
    new_map, old_map = (np.load(tmp_path / "store" / "depth" / key / "00001.npy") for key in maps)
    assert new_map.std() > 0 and np.array_equal(new_map, old_map)


@pytest.mark.thorough
def test_two_processes_and_resuming(
    made: Callable[[str], Path],
    run_cli: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    options = [
        *SMALL, "data.count=6", "stages=[depth]", "logger=none", "dataset_dir=OUT",
        "depth=depth_anything_v2_small", f"depth.checkpoint={made('depth_anything')}",
        "depth.parameters=null", "trainer=ddp_cpu",
    ]  # fmt: skip
    first = run_cli(*options)
    assert first.returncode == 0, first.stderr
    disparity = {p.name: np.load(p) for p in stored_cli(tmp_path).glob("*.npy")}
    # half of it is lost: only that is made again, to the rounding of another batch
    result = stored_cli(tmp_path)
    for name in ("00001.npy", "00004.png"):
        (result / name).unlink()
    again = run_cli(*options)
    assert again.returncode == 0, again.stderr
    assert any(
        "depth_anything_v2_small" in line and " 2 " in line for line in again.stderr.splitlines()
    )
    for name, before in disparity.items():
        assert np.allclose(np.load(result / name), before, rtol=1e-4, atol=1e-5)


def stored_cli(tmp_path: Path) -> Path:
    return only(tmp_path / "outputs" / "store" / "depth")


def test_tensors_that_a_network_has_no_use_for_are_noted(
    made: Callable[[str], Path],
    run_here: RunHere,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The published code of UniDepth loads its checkpoints without minding names that it does not know."""
    place = tmp_path / "more"
    shutil.copytree(made("unidepth"), place)
    tensors = {**random_weights.unidepth_tensors(), "pixel_decoder.later.weight": torch.zeros(3)}
    torch.save(tensors, place / "pytorch_model.bin")
    (place / "model.safetensors").unlink()
    options = ["stages=[metric_depth]", "metric_depth=unidepth_v2_vits14", "data.count=1"]
    given = [*SMALL, *options, f"metric_depth.checkpoint={place}"]
    run = run_here(*given)
    assert "1 tensors of the checkpoint are not used, e.g. pixel_decoder.later.weight" in (
        capsys.readouterr().err
    )
    plain = [*given[:-1], f"metric_depth.checkpoint={made('unidepth')}"]
    other = run_here(*plain, name="plain")
    folder = Path("dataset") / "demo" / "unidepth_disp"
    assert tree(run / folder) == tree(other / folder)
    short = {k: v for k, v in tensors.items() if k != "pixel_decoder.level_embeds"}
    short.pop(next(iter(short)))
    torch.save(short, place / "pytorch_model.bin")
    with pytest.raises(UserError, match="tensors are missing"):
        run_here(*given, name="short")


class TestBadCheckpoints:
    """One line, before any stage runs; nothing in a pickle is executed."""

    def refused(self, run_here: RunHere, place: Path, words: str, *more: str) -> None:
        given = ["depth=depth_anything_v2_small", f"depth.checkpoint={place}", *more]
        with pytest.raises(UserError, match=words) as caught:
            run_here(*TINY, *given)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400

    def test_cut_short(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        place = tmp_path / "cut"
        shutil.copytree(made("depth_anything"), place)
        file = place / "model.safetensors"
        file.write_bytes(file.read_bytes()[:9000])
        self.refused(run_here, place, "damaged", "depth.parameters=null")
        assert not (tmp_path / "store" / "depth").exists()

    def test_another_size(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        self.refused(run_here, made("depth_anything"), "choose the backend of its size")
        place = random_weights.depth_anything(tmp_path / "wide", hidden=48)
        shutil.copy(made("depth_anything") / "model.safetensors", place)
        self.refused(run_here, place, "weights of another size", "depth.parameters=null")

    def test_another_network(self, made: Callable[[str], Path], run_here: RunHere) -> None:
        self.refused(run_here, made("metric"), "metric depth_anything", "depth.parameters=null")
        self.refused(run_here, made("zoedepth"), "a zoedepth network", "depth.parameters=null")
        self.refused(run_here, made("unidepth"), "damaged or no checkpoint")

    def test_nothing_there(self, run_here: RunHere, tmp_path: Path) -> None:
        self.refused(run_here, tmp_path / "nowhere", "no such file or folder")

    @pytest.mark.parametrize("form", ["folder", "file", "old"])
    def test_a_pickle_with_code_is_not_run(
        self, form: str, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        import pickle

        trace = tmp_path / "executed"

        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.system, (f"touch {trace}",)

        if form == "folder":
            place = tmp_path / "evil"
            shutil.copytree(made("depth_anything"), place)
            (place / "model.safetensors").unlink()
            torch.save({"weight": Evil()}, place / "pytorch_model.bin")
            self.refused(run_here, place, "more than tensors", "depth.parameters=null")
        else:
            place = tmp_path / "evil.pth"
            if form == "file":
                torch.save({"model": Evil()}, place)
            else:
                place.write_bytes(pickle.dumps({"model": Evil()}))
            with pytest.raises(UserError, match="more than tensors"):
                run_here(
                    *TINY, "metric_depth=unidepth_v2_vits14", f"metric_depth.checkpoint={place}"
                )
        assert not trace.exists()

    def test_a_published_dpt_file_lacks_what_is_not_used(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        from safetensors.torch import load_file, save_file

        place = tmp_path / "dpt"
        shutil.copytree(made("dpt"), place)
        tensors = load_file(place / "model.safetensors")
        unused = [k for k in tensors if "fusion_stage.layers.0.residual_layer1" in k]
        kept = {k: v for k, v in tensors.items() if k not in unused}
        save_file(kept, place / "model.safetensors", metadata={"format": "pt"})
        assert len(unused) == 4
        options = ["stages=[depth]", "depth=dpt_large", "depth.parameters=null"]
        first = run_here(*TINY, *options, f"depth.checkpoint={made('dpt')}", name="whole")
        second = run_here(*TINY, *options, f"depth.checkpoint={place}", name="published")
        a, b = (tree(run / "dataset" / "demo" / "depth_anything_v2") for run in (first, second))
        assert a == b and a

    def test_a_file_that_would_not_be_read(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        place = tmp_path / "two"
        shutil.copytree(made("depth_anything"), place)
        shutil.copy(place / "model.safetensors", place / "tuned.safetensors")
        self.refused(run_here, place / "tuned.safetensors", "these weights are a folder")

    def test_code_in_a_folder_is_not_run(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        place = tmp_path / "code"
        shutil.copytree(made("depth_anything"), place)
        config = json.loads((place / "config.json").read_text())
        config |= {"model_type": "mine", "auto_map": {"AutoModelForDepthEstimation": "evil.Net"}}
        config["auto_map"]["AutoConfig"] = "evil.Config"
        (place / "config.json").write_text(json.dumps(config))
        (place / "evil.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')\n")
        self.refused(run_here, place, "damaged or no checkpoint")
        assert not (tmp_path / "RAN").exists()

    def test_no_preprocessor(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        place = tmp_path / "bare"
        shutil.copytree(made("depth_anything"), place)
        (place / "preprocessor_config.json").unlink()
        self.refused(run_here, place, "preprocessor_config.json: missing", "depth.parameters=null")

    @pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
    def test_an_incomplete_marigold(
        self, part: str, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        from safetensors.torch import load_file, save_file

        place = tmp_path / "part"
        shutil.copytree(made("marigold"), place)
        (file,) = (place / part).glob("*.safetensors")
        tensors = load_file(file)
        for name in sorted(tensors)[:3]:
            del tensors[name]
        save_file(tensors, file, metadata={"format": "pt"})
        with pytest.raises(UserError, match=f"{part}: 3 tensors are missing"):
            run_here(
                *SMALL, "stages=[prior]", "prior=marigold", f"prior.checkpoint={place}",
                "prior.parameters=null",
            )  # fmt: skip

    def test_a_marigold_that_gives_something_else(
        self, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        place = tmp_path / "disparity"
        shutil.copytree(made("marigold"), place)
        index = json.loads((place / "model_index.json").read_text())
        (place / "model_index.json").write_text(
            json.dumps({**index, "prediction_type": "disparity"})
        )
        with pytest.raises(UserError, match="gives disparity, not depth"):
            run_here(
                *SMALL, "stages=[prior]", "prior=marigold", f"prior.checkpoint={place}",
                "prior.parameters=null",
            )  # fmt: skip

    @pytest.mark.parametrize(
        "values", [[1], {"num_heads": 7}, {"output_idx": 3}, {"pixels_max": "x"}]
    )
    def test_unidepth_with_a_broken_configuration(
        self, values: object, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
    ) -> None:
        place = tmp_path / "odd"
        place.mkdir()
        os.link(made("unidepth") / "model.safetensors", place / "model.safetensors")
        (place / "config.json").write_text(json.dumps(values))
        with pytest.raises(UserError, match=r"config.json: "):
            run_here(*TINY, "metric_depth=unidepth_v2_vits14", f"metric_depth.checkpoint={place}")

    def test_an_error_page_is_not_called_code(self, run_here: RunHere, tmp_path: Path) -> None:
        place = tmp_path / "page.bin"
        place.write_text("<html>404</html>")
        with pytest.raises(UserError, match="damaged or no checkpoint"):
            run_here(*TINY, "metric_depth=unidepth_v2_vits14", f"metric_depth.checkpoint={place}")

    def test_unidepth_of_another_size(self, made: Callable[[str], Path], run_here: RunHere) -> None:
        with pytest.raises(UserError, match="dinov2_vits14"):
            run_here(
                *TINY,
                "metric_depth=unidepth_v2_vitl14",
                f"metric_depth.checkpoint={made('unidepth')}",
            )


def test_identity_of_weights_is_in_key_and_provenance(
    made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made("depth_anything"), copy)
    other = random_weights.depth_anything(tmp_path / "other", hidden=24)
    keys = []
    for k, place in enumerate((made("depth_anything"), copy, other)):
        folder = run_here(
            *TINY, "data.count=1", "stages=[depth]", "depth=depth_anything_v2_base",
            f"depth.checkpoint={place}", "depth.parameters=null", name=f"run{k}",
        )  # fmt: skip
        origin = json.loads((folder / "dataset" / "demo" / "dynprep.json").read_text())
        entry = origin["folders"]["depth_anything_v2"]
        assert entry["weights"].startswith("sha256:") and entry["licence"] == "CC-BY-NC-4.0"
        keys.append(entry["key"])
        (place / "README.md").write_text(f"notes {k}")  # not read, so of no matter
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "16-mixed"])
def test_half_precision_is_near(
    precision: str, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    options = [
        *SMALL, "data.count=2", "stages=[depth]", "depth=depth_anything_v2_small",
        f"depth.checkpoint={made('depth_anything')}", "depth.parameters=null",
    ]  # fmt: skip
    run_here(*options, name="full")
    full = np.load(stored(tmp_path, "depth") / "00001.npy")
    half = [f"trainer.precision={precision}", "trainer.channels_last=true"]
    run_here(*options, *half, f"store_dir={tmp_path / 'half_store'}", name="half")
    near = np.load(only(tmp_path / "half_store" / "depth") / "00001.npy")
    assert not np.array_equal(near, full)
    assert np.median(np.abs(near - full)) < 0.05 * np.ptp(full)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "bf16-mixed"])
def test_marigold_in_half_precision(
    precision: str, made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    options = [
        *SMALL, "data.count=1", "stages=[prior]", "prior=marigold", f"prior.checkpoint={made('marigold')}",
        "prior.parameters=null", "prior.steps=1", "resolution.prior_input=64",
    ]  # fmt: skip
    full = run_here(*options, name="full") / "dataset" / "demo" / "marigold" / "depth_npy"
    half = run_here(*options, f"trainer.precision={precision}", name="half")
    a = np.load(full / "00000_pred.npy")
    b = np.load(half / "dataset" / "demo" / "marigold" / "depth_npy" / "00000_pred.npy")
    assert len(np.unique(b)) > 1000  # no steps
    assert 0 < np.abs(a - b).max() < 0.1


def test_values_that_are_not_finite_are_an_error(
    made: Callable[[str], Path], run_here: RunHere, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    place = tmp_path / "huge"
    shutil.copytree(made("depth_anything"), place)
    tensors = load_file(place / "model.safetensors")
    key = next(k for k in tensors if "head.conv1.weight" in k)
    tensors[key] = tensors[key] * float("inf")
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"depth of frame 0000\d: .* not finite"):
        run_here(
            *TINY, "stages=[depth]", "depth=depth_anything_v2_small", f"depth.checkpoint={place}",
            "depth.parameters=null",
        )  # fmt: skip


@pytest.mark.slow
def test_compiled_is_the_same_network(
    made: Callable[[str], Path],
    run_here: RunHere,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = [
        *SMALL, "data.count=2", "stages=[depth]", "depth=depth_anything_v2_small",
        f"depth.checkpoint={made('depth_anything')}", "depth.parameters=null",
    ]  # fmt: skip
    run_here(*options, name="plain")
    plain = np.load(stored(tmp_path, "depth") / "00001.npy")
    compiled: list[object] = []

    def one_module(backend: HuggingFaceNetwork) -> list[object]:  # all of it takes a minute here
        compiled.append(backend.network.backbone.encoder.layer[0].mlp)
        return compiled[-1:]

    def without_machine_code(module: torch.nn.Module) -> None:  # which takes half a minute
        usual(module, backend="aot_eager")

    usual = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", without_machine_code)
    monkeypatch.setattr(
        TrainerOptions, "check", lambda options: None
    )  # whether there is a C++ compiler
    monkeypatch.setattr(HuggingFaceNetwork, "modules_to_compile", one_module)
    run_here(*options, "trainer.compile=true", f"store_dir={tmp_path / 'fast_store'}", name="fast")
    assert compiled[0]._compiled_call_impl is not None  # type: ignore[attr-defined]
    assert np.allclose(
        np.load(only(tmp_path / "fast_store" / "depth") / "00001.npy"), plain, rtol=1e-3, atol=1e-3
    )
