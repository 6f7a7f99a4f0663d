"""Depth Anything 3 against the numbers of the published networks."""

import zlib
from typing import Any

import numpy as np
import pytest
import torch

from dynprep.models.depth_anything_3.framing import input_size, network_input
from dynprep.models.depth_anything_3.network import UNUSED, AnyView, OneView
from tests.fixtures import seeded
from tests.models.upstream import Upstream, normalised, off

pytestmark = pytest.mark.parity
ONE = {"mono/98x126": [1], "mono/154x84": [2], "mono/pair": [1, 3], "mono/518x518": [4]}
ANY = [f"any/{size}/{count}" for size in ("98x126", "154x84") for count in (1, 2, 5, 12)]


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream("depth_anything_3")


@pytest.fixture(scope="module")
def one_view(upstream: Upstream) -> OneView:
    network: OneView = upstream.load(OneView("small"), upstream.tensors("mono-vits"), UNUSED)
    return network


@pytest.fixture(scope="module")
def any_view(upstream: Upstream) -> AnyView:
    tensors = upstream.tensors("da3-small", upstream.about["constants"]["da3-small"])
    network: AnyView = upstream.load(AnyView("small"), tensors, UNUSED)
    return network


def case_of(upstream: Upstream, name: str) -> dict[str, Any]:
    (found,) = [case for case in upstream.about["cases"] if case["name"] == name]
    assert isinstance(found, dict)
    return found


def sampled(maps: torch.Tensor) -> np.ndarray:
    return maps[:, 3::7, 3::7].numpy()


@pytest.mark.parametrize("name", ONE)
def test_single_images(upstream: Upstream, one_view: OneView, name: str) -> None:
    height, width = case_of(upstream, name)["shape"][-2:]
    with torch.inference_mode():
        depth, sky = one_view(normalised([seeded.picture(height, width, k) for k in ONE[name]]))
    wanted = upstream.numbers[f"{name}/depth_raw"]
    most, middle = off(sampled(depth), wanted.reshape(sampled(depth).shape))
    assert most < 1e-4 and middle < 1e-6
    raw_sky = upstream.numbers[f"{name}/sky"].reshape(sampled(depth).shape)
    assert (sampled(sky) == (raw_sky >= 0.3)).mean() > 0.999


@pytest.mark.thorough
def test_the_published_size(upstream: Upstream) -> None:
    network = upstream.load(OneView("large"), upstream.tensors("da3metric-large"), UNUSED)
    with torch.inference_mode():
        depth, _ = network(normalised([seeded.picture(70, 98, 7)]))
    wanted = upstream.numbers["metric-large/70x98/depth_raw"].reshape(sampled(depth).shape)
    most, middle = off(sampled(depth), wanted)
    assert most < 1e-4 and middle < 1e-6


@pytest.mark.parametrize("name", ANY)
def test_several_views(upstream: Upstream, any_view: AnyView, name: str) -> None:
    case = case_of(upstream, f"{name}/saddle_balanced")
    count, height, width = (case["shape"][axis] for axis in (1, -2, -1))
    whole = seeded.picture(height, width + 33, 11 if height == 98 else 13)
    views = [whole[:, 3 * k : 3 * k + width] for k in range(count)]
    with torch.inference_mode():
        found = any_view(normalised(views))
    numbers = {
        key: upstream.numbers[f"{case['name']}/{key}"]
        for key in ("depth", "depth_conf", "extrinsics", "intrinsics")
    }
    for key, maps in (("depth", found.depth), ("depth_conf", found.confidence)):
        most, middle = off(sampled(maps), numbers[key].reshape(sampled(maps).shape))
        assert most < 1e-4 and middle < 1e-6, key
    focal = np.stack([numbers["intrinsics"][:, 0, 0], numbers["intrinsics"][:, 1, 1]], -1)
    assert off(found.focal.numpy(), focal)[0] < 1e-4
    world_to_camera = torch.linalg.inv(found.camera_to_world)[:, :3].numpy()
    assert off(world_to_camera, numbers["extrinsics"])[0] < 1e-4


@pytest.mark.parametrize("name", ["mono/processed-down", "mono/processed-up"])
def test_images_are_brought_to_size_as_published(upstream: Upstream, name: str) -> None:
    case = case_of(upstream, name)
    height, width, seed = case["recipe"]["picture"]
    pixels = network_input(seeded.picture(height, width, seed), case["recipe"]["process_res"])
    assert pixels.shape[1:] == tuple(case["shape"][-2:])
    mean, deviation = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    seen = np.rint((pixels.transpose(1, 2, 0) * deviation + mean) * 255).astype(np.uint8)
    grid = upstream.numbers[f"{name}/pixels"]
    assert np.array_equal(seen[3::7, 3::7], grid.reshape(seen[3::7, 3::7].shape))
    if case["recipe"]["cv2"].split(".")[0] == "5":
        assert zlib.crc32(np.ascontiguousarray(seen).tobytes()) == case["recipe"]["crc32"]


def test_sizes_are_the_published_ones(upstream: Upstream) -> None:
    for row in upstream.about["sizes_504"]:
        width, height = row["source_wh"]
        assert list(input_size(height, width, 504)[::-1]) == row["upper_bound_resize_wh"]


@pytest.mark.parametrize("size", ["small", "base", "large", "giant"])
def test_any_view_sizes_take_the_published_keys(upstream: Upstream, size: str) -> None:
    with torch.device("meta"):
        network = AnyView(size)
    published = {
        name: shape for name, shape in upstream.keys[f"da3-{size}"].items()
        if not name.startswith(UNUSED)
    }  # fmt: skip
    assert upstream.shapes_of(network) == published


def test_single_image_networks_take_the_published_keys(upstream: Upstream) -> None:
    with torch.device("meta"):
        network = OneView("large")
    assert upstream.shapes_of(network) == upstream.keys["da3metric-large"]
    assert upstream.keys["da3metric-large"] == upstream.keys["da3mono-large"]
    count = sum(p.numel() for p in network.parameters())
    # DA3METRIC-LARGE's model.safetensors has 1,336,734,448 bytes of float32 tensors and a header
    assert 4 * count == pytest.approx(1_336_734_448, rel=1e-4)


def test_views_matter_to_each_other(any_view: AnyView) -> None:
    whole = seeded.picture(98, 140, 5)
    views = normalised([whole[:, :126], whole[:, 14:]])
    with torch.inference_mode():
        both, alone = any_view(views), any_view(views[:1])
    assert off(both.depth[0].numpy(), alone.depth[0].numpy())[1] > 1e-3


def test_the_order_of_views_changes_little_but_the_order_of_results(any_view: AnyView) -> None:
    whole = seeded.picture(98, 154, 6)
    views = normalised([whole[:, 7 * k : 7 * k + 126] for k in range(5)])
    order = torch.tensor([3, 0, 4, 2, 1])
    with torch.inference_mode():
        straight, shuffled = any_view(views), any_view(views[order])
    # the reference view is chosen by what is seen, so the numbers follow the views
    assert off(shuffled.depth.numpy(), straight.depth[order].numpy())[0] < 1e-4
