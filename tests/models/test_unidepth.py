"""UniDepth V2 against the numbers of the published network, and where those end."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.random_weights import unidepth_tensors
from dynprep.errors import UserError
from dynprep.models import UniDepthV2
from dynprep.models.unidepth.config import VARIANTS, configured
from dynprep.models.unidepth.framing import Framing
from dynprep.models.unidepth.network import UNUSED
from dynprep.weights.tensors import fit
from tests.fixtures.unidepth import make_input, weights

FIXTURES = Path(make_input.__file__).parent
LARGER = {"480x854", "518x518_Kclip", "480x854_rl9", "518x518", "640x360", "640x240"}
CASES = (
    "200x700", "200x700_K", "210x370", "270x480", "480x854", "480x854_rl0", "480x854_rl9",
    "518x518", "518x518_Kclip", "640x240", "640x240_K", "640x360",
)  # fmt: skip


class Upstream:
    """The made-up weights and inputs that upstream's network was run with."""

    def __init__(self) -> None:
        self.networks: dict[str, UniDepthV2] = {}

    def network(self, variant: str) -> UniDepthV2:
        if variant not in self.networks:
            shapes = json.loads((FIXTURES / f"state_dict_{variant}.json").read_text())
            network = UniDepthV2(variant).eval()
            network.load_published(
                {k: torch.from_numpy(weights.value(k, s, 0)) for k, s in shapes.items()}
            )
            self.networks = {variant: network}
        return self.networks[variant]

    def image(self, height: int, width: int) -> torch.Tensor:
        return torch.from_numpy(make_input.make_image(height, width, 0)).permute(2, 0, 1)[None]

    def case(self, name: str) -> tuple[np.lib.npyio.NpzFile, torch.Tensor, torch.Tensor | None]:
        size = name.split("_", maxsplit=1)[0]
        height, width = map(int, size.split("x"))
        camera = None
        if "_K" in name:
            make = make_input.make_K_clip if "Kclip" in name else make_input.make_K
            camera = torch.from_numpy(make(height, width))[None]
        return np.load(FIXTURES / f"{name}.npz"), self.image(height, width), camera


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture(scope="module")
def small(upstream: Upstream) -> UniDepthV2:
    """The smallest network with the fixtures' weights, set to look at fewer pixels."""
    network = UniDepthV2(replace(VARIANTS["vits14"], pixels=(20_000, 40_000))).eval()
    network.load_state_dict(upstream.network("vits14").state_dict())
    return network


def off(mine: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    relative = np.abs(mine / theirs - 1)
    return float(relative.max()), float(np.median(relative))


@pytest.mark.parity
def test_images_are_the_ones_of_the_cases(upstream: Upstream) -> None:
    for name, case in json.loads((FIXTURES / "manifest.json").read_text()).items():
        image = make_input.make_image(case["h"], case["w"], case["seed"])
        assert hashlib.sha256(image.tobytes()).hexdigest() == case["image_sha256"], name


@pytest.mark.parity
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.thorough) if n in LARGER else n for n in CASES]
)
def test_numbers_are_upstreams(upstream: Upstream, name: str) -> None:
    wanted, image, camera = upstream.case(name)
    level = float(wanted["resolution_level"])
    kept = None if camera is None else camera.clone()
    found = upstream.network("vits14").infer(image, camera, level if level >= 0 else None)
    for key in ("depth", "confidence"):
        most, middle = off(found[key][0, 0, ::8, ::8].numpy(), wanted[f"{key}_s8"])
        assert most < 2e-4 and middle < 1e-5, key
    if camera is None:
        k = wanted["intrinsics"].reshape(3, 3)
        values = k[[0, 1, 0, 1], [0, 1, 2, 2]]
        mine = found["intrinsics"][0].numpy()[[0, 1, 0, 1], [0, 1, 2, 2]]
        assert off(mine, values)[0] < 1e-5
    else:
        assert torch.equal(found["intrinsics"], camera) and torch.equal(camera, kept)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["200x700_K"])
@pytest.mark.thorough
def test_float64_sees_every_epsilon(upstream: Upstream, name: str) -> None:
    _, image, camera = upstream.case(name)
    wanted = np.load(FIXTURES / f"ref64_{name}.npz")
    network = upstream.network("vits14").double()
    try:
        found = network.infer(image, camera)
    finally:
        network.float()
    for key in ("depth", "confidence"):
        assert off(found[key].numpy().ravel()[wanted["idx"]], wanted[f"{key}_idx"])[0] < 3e-6


@pytest.mark.parity
@pytest.mark.thorough
@pytest.mark.parametrize("variant", ["vitl14"])  # vitb14 lies between it and the cases above
def test_larger_networks(upstream: Upstream, variant: str) -> None:
    wanted = np.load(FIXTURES / f"{variant}_270x480_small.npz")
    found = upstream.network(variant).infer(upstream.image(270, 480))
    upstream.networks.clear()
    most, middle = off(found["depth"][0, 0, ::8, ::8].numpy(), wanted["depth_s8"])
    assert most < 2e-4 and middle < 1e-5


def test_a_batch_gives_what_single_images_give(upstream: Upstream, small: UniDepthV2) -> None:
    images = torch.cat([upstream.image(270, 480), upstream.image(270, 480).flip(-1)])
    cameras = torch.tensor([[[400.0, 0, 240], [0, 410, 130], [0, 0, 1]]] * 2)
    cameras[1, 0, 0] = 520
    for given in (None, cameras):
        both = small.infer(images, given)
        for k in range(2):
            one = small.infer(images[k : k + 1], None if given is None else given[k])
            assert off(both["depth"][k].numpy(), one["depth"][0].numpy())[0] < 1e-4
            assert torch.allclose(both["intrinsics"][k], one["intrinsics"][0], rtol=1e-5)
    assert torch.allclose(small.camera(images), small.infer(images)["intrinsics"], rtol=1e-6)


@pytest.mark.parametrize("size", [(270, 480), (201, 333)])
def test_the_predicted_camera_given_back_changes_nothing(
    upstream: Upstream, small: UniDepthV2, size: tuple[int, int]
) -> None:
    image = upstream.image(*size)
    predicted = small.infer(image)
    known = small.infer(image, predicted["intrinsics"])
    for key in ("depth", "confidence"):
        most, middle = off(known[key].numpy(), predicted[key].numpy())
        assert most < 1e-3 and middle < 1e-5, key
    changed = predicted["intrinsics"].clone()
    changed[:, 0, 0] *= 1.2
    other = small.infer(image, changed)
    assert off(other["depth"].numpy(), predicted["depth"].numpy())[1] > 1e-3


@pytest.mark.parametrize("size", [(135, 241), (241, 135), (65, 301), (199, 199), (77, 64)])
def test_odd_sizes(upstream: Upstream, small: UniDepthV2, size: tuple[int, int]) -> None:
    found = small.infer(upstream.image(*size))
    for key in ("depth", "confidence"):
        values = found[key]
        assert values.shape == (1, 1, *size) and bool(torch.isfinite(values).all())
        assert float(values.min()) > 0 and bool((values.std((2, 3)) > 0).all())
        assert bool((values[0, 0].std(0) > 0).all()) and bool((values[0, 0].std(1) > 0).all())
    k = found["intrinsics"][0]
    assert 0 < k[0, 2] < size[1] and 0 < k[1, 2] < size[0] and bool((k.diagonal() > 0).all())


@pytest.mark.parametrize("size", [(854, 480), (64, 64), (300, 414), (64, 512), (2160, 3840)])
def test_every_size_gives_a_whole_map(size: tuple[int, int]) -> None:
    config = VARIANTS["vits14"]
    framing = Framing.of(*size, config, None)
    left, right, top, bottom = framing.padding
    assert (size[0] + top + bottom, size[1] + left + right) == framing.padded
    rows, columns = framing.net
    assert rows % 14 == columns % 14 == 0 and rows * columns < 650_000
    values = torch.rand(1, 1, *framing.net)
    assert framing.leave(values).shape[-2:] == size
    camera = torch.tensor([[[500.0, 0, 200], [0, 510, 120], [0, 0, 1]]])
    for true_axes in (False, True):
        there = framing.camera_in(camera, true_axes)
        assert torch.allclose(framing.camera_out(there, true_axes), camera, rtol=1e-6)
    k = framing.camera_in(camera, True)
    corner = k @ torch.tensor([0.0, 0, 1])  # where the optical axis meets the network's input
    assert (0 <= corner[0, 0] <= columns and 0 <= corner[0, 1] <= rows) or size[0] < 200


@pytest.mark.slow
@pytest.mark.parametrize("size", [(854, 480), (64, 64), (1080, 300)])
def test_portrait_and_small_images(upstream: Upstream, size: tuple[int, int]) -> None:
    found = upstream.network("vits14").infer(upstream.image(*size), resolution_level=0)
    assert found["depth"].shape == found["confidence"].shape == (1, 1, *size)
    assert bool(torch.isfinite(found["depth"]).all()) and float(found["depth"].std()) > 0


def test_published_keys_fit_strictly() -> None:
    tensors = unidepth_tensors()
    network = UniDepthV2("vits14")
    assert set(UNUSED) == set(tensors) - set(network.state_dict())
    network.load_published(tensors)
    with pytest.raises(RuntimeError, match="mlp"):
        network.load_published({k: v for k, v in tensors.items() if "mlp" not in k})
    with pytest.raises(UserError, match="another size"):
        fit(UniDepthV2("vitb14"), tensors, UNUSED, "here")


def test_wrong_arguments_are_said() -> None:
    network = UniDepthV2("vits14")
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with pytest.raises(ValueError, match="resolution_level"):
        network.infer(image, resolution_level=10)
    with pytest.raises(ValueError, match="images"):
        network.infer(image[0])
    with pytest.raises(ValueError, match="images"):
        network.camera(image[0])
    with pytest.raises(ValueError, match="intrinsics"):
        network.infer(image, torch.eye(4))


def test_a_checkpoints_own_configuration_is_obeyed_or_refused() -> None:
    encoder = {"name": "dinov2_vits14", "output_idx": [2, 5, 8, 11], "num_register_tokens": 0}
    data = {"shape_constraints": {"ratio_bounds": [0.4, 3.0], "pixels_max": 300_000}}
    config = configured("vits14", {"model": {"pixel_encoder": encoder}, "data": data}, "here")
    assert config.taps == (2, 5, 8, 11) and config.ratio == (0.4, 3.0)
    assert config.pixels == (200_000, 300_000)
    for key, value in (
        ("interpolate_offset", 0.1),
        ("use_norm", False),
        ("num_register_tokens", 4),
    ):
        with pytest.raises(UserError, match=f"here: {key}"):
            configured("vits14", {"model": {"pixel_encoder": {key: value}}}, "here")
    with pytest.raises(UserError, match="dinov2_vits14"):
        configured("vitl14", {"model": {"pixel_encoder": encoder}}, "here")
