"""MoGe-2 against the numbers of the published network."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from dynprep.errors import UserError
from dynprep.models.moge.config import configured
from dynprep.models.moge.focal import focal_and_shift
from dynprep.models.moge.network import UNUSED, MoGe2, RawGeometry
from dynprep.models.view_plane import view_plane
from tests.fixtures import seeded
from tests.models.upstream import Upstream, off

pytestmark = pytest.mark.parity
LARGER = {"wide", "tall", "pair"}
CASES = ("landscape", "wide", "tall", "pair", "known_fov", "plain")


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream("moge")


def loaded(upstream: Upstream, weights: str) -> MoGe2:
    """The network with one of the two sets of made-up weights."""
    about = upstream.about
    tensors = upstream.tensors("vits-normal", about["weight_sets"][weights]["constants"])
    for name, place, value in about["weight_sets"][weights]["edits"]:
        if place == "scale":
            tensors[name] *= value
        else:
            tensors[name][tuple(place)] = value
    network: MoGe2 = upstream.load(
        MoGe2(configured(about["model_config"], "here")), tensors, UNUSED
    )
    return network


@pytest.fixture(scope="module")
def networks(upstream: Upstream) -> dict[str, MoGe2]:
    return {name: loaded(upstream, name) for name in ("camera", "plain")}


@pytest.fixture(scope="module")
def outputs(upstream: Upstream, networks: dict[str, MoGe2]) -> Callable[[str], RawGeometry]:
    """What the network gives for a case, computed once."""

    @cache
    def get(name: str) -> RawGeometry:
        case = upstream.about["cases"][name]
        return run(networks[case["set"]], case)

    return get


def run(network: MoGe2, case: dict[str, Any]) -> RawGeometry:
    pictures = np.stack(
        [seeded.picture(case["size"][0], case["size"][1], seed) for seed in case["seeds"]]
    )
    images = torch.from_numpy(pictures.transpose(0, 3, 1, 2)).float() / 255
    with torch.inference_mode():
        geometry: RawGeometry = network(images, case["tokens"])
    return geometry


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.thorough) if n in LARGER else n for n in CASES]
)
def test_numbers_are_upstreams(
    upstream: Upstream, outputs: Callable[[str], RawGeometry], name: str
) -> None:
    step, found = upstream.about["stride"], outputs(name)
    assert found.normals is not None and found.finite is not None and found.metres is not None
    for key, values in (
        ("points", found.points), ("normal", found.normals), ("mask", found.finite)
    ):  # fmt: skip
        most, middle = off(
            values[:, ::step, ::step].numpy(), upstream.numbers[f"{name}/forward/{key}"]
        )
        assert most < 1e-4, key
        assert middle < 1e-6, key
    assert off(found.metres.numpy(), upstream.numbers[f"{name}/forward/metric_scale"])[0] < 1e-5


@pytest.mark.parametrize(
    "name", ["landscape", pytest.param("pair", marks=pytest.mark.thorough), "known_fov"]
)
def test_depth_and_focal_length_are_upstreams(
    upstream: Upstream, outputs: Callable[[str], RawGeometry], name: str
) -> None:
    from dynprep.backends.metric_depth.moge import MoGe
    from dynprep.backends.moge import MoGeSample

    case, step = upstream.about["cases"][name], upstream.about["stride"]
    height, width = case["size"]
    camera = None
    if "fov_x" in case:
        focal = width / 2 / np.tan(np.radians(case["fov_x"]) / 2)
        camera = np.array([focal, focal, (width - 1) / 2, (height - 1) / 2])
    backend = MoGe.__new__(MoGe)  # what it does after the network needs none of its options
    raw = outputs(name)
    backend.infer = lambda samples, with_normals: raw  # type: ignore[method-assign]
    frames = [seeded.picture(height, width, k).transpose(2, 0, 1) for k in case["seeds"]]
    for k, one in enumerate(backend.compute([MoGeSample(frame, camera) for frame in frames])):
        found = one.get()
        assert found.sky is not None
        wanted = upstream.numbers[f"{name}/infer/depth"][k]
        finite = np.isfinite(wanted)
        assert np.array_equal(~found.sky[::step, ::step], finite)
        most, middle = off(found.depth_m[::step, ::step][finite], wanted[finite])
        assert most < 1e-4 and middle < 1e-6
        unit = np.array(case["intrinsics"][k])
        assert found.intrinsics[0] == pytest.approx(unit[0, 0] * width, rel=1e-5)
        assert found.intrinsics[1] == pytest.approx(unit[1, 1] * height, rel=1e-5)
        assert found.depth_m[found.sky].min(initial=1e6) == 1e6


@pytest.mark.thorough
def test_a_batch_gives_what_single_images_give(
    upstream: Upstream, networks: dict[str, MoGe2], outputs: Callable[[str], RawGeometry]
) -> None:
    case, both = upstream.about["cases"]["pair"], outputs("pair")
    assert networks["camera"].tokens(3) == upstream.about["cases"]["tall"]["tokens"]
    one = run(networks["camera"], {**case, "seeds": case["seeds"][1:]})
    assert off(both.points[1].numpy(), one.points[0].numpy())[0] < 1e-4


@pytest.mark.parametrize("focal", [0.7, 1.4])
def test_focal_length_and_shift_of_a_known_camera(focal: float) -> None:
    random = np.random.default_rng(3)
    places = view_plane(64, 64).flatten(0, 1).numpy()
    z = random.uniform(2, 5, len(places)).astype(np.float32)
    points = np.c_[places * z[:, None] / focal, z - 0.5].astype(np.float32)
    found, shift = focal_and_shift(places, points, None)
    assert found == pytest.approx(focal, rel=1e-3) and shift == pytest.approx(0.5, rel=5e-3)
    assert focal_and_shift(places, points, focal)[1] == pytest.approx(0.5, rel=5e-3)
    assert focal_and_shift(places[:1], points[:1], None) == (None, 0.0)


@pytest.mark.parametrize("variant", ["vits-normal", "vitb-normal", "vitl-normal", "vitl"])
def test_parameters_are_as_many_as_published(upstream: Upstream, variant: str) -> None:
    count = sum(int(np.prod(shape)) for shape in upstream.keys[variant].values()) / 1e6
    published = {"vits-normal": 35, "vitb-normal": 104, "vitl-normal": 331, "vitl": 326}
    assert count == pytest.approx(published[variant], rel=0.03)
    # model.pt holds float32 tensors and, for each of them, about 400 bytes of torch's format
    size = {
        "vits-normal": 140_550_416, "vitb-normal": 419_110_160, "vitl-normal": 1_323_815_904, "vitl": 1_305_030_700,
    }  # fmt: skip
    tensors = len(upstream.keys[variant])
    assert 390 < (size[variant] - 4e6 * count) / tensors < 410


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"remap_output": "cube"}, "remap_output"),
        ({"encoder": {"backbone": "resnet", "intermediate_layers": [1], "dim_out": 8}}, "backbone"),
        ({"num_tokens_range": [0]}, "num_tokens_range"),
        ({"neck": None}, "neck"),
    ],
)
def test_other_configurations_are_refused(
    upstream: Upstream, change: dict[str, Any], word: str
) -> None:
    with pytest.raises(UserError, match=word):
        configured({**upstream.about["model_config"], **change}, "model.pt: model_config")
