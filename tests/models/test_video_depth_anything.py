"""Video Depth Anything against the numbers of the published network."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dynprep.models.video_depth_anything.framing import input_size, network_input
from dynprep.models.video_depth_anything.network import UNUSED, VideoDepthAnything
from dynprep.models.video_depth_anything.stream import Stream
from dynprep.models.video_depth_anything.windows import Joiner, windows
from tests.fixtures import seeded
from tests.models.upstream import Upstream, normalised, off

pytestmark = pytest.mark.parity
LONGER = {"wide_50", "wide_75", "metric_50", "tall_32", "stream_60", "wide_22"}
CASES = (
    "wide_1", "wide_20", "wide_22", "wide_32", "wide_50", "wide_75", "metric_50", "metric_1", "tall_1", "tall_32",
    "tall_metric_25", "clamped_44", "shrunk_2", "odd_size_1", "stream_60", "stream_tall_3",
)  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream("video_depth_anything")


@pytest.fixture(scope="module")
def network(upstream: Upstream) -> VideoDepthAnything:
    network = VideoDepthAnything("vits")
    places = {k: v for k, v in network.state_dict().items() if k.endswith(".pe")}
    tensors = upstream.tensors("vits", upstream.about["constants"])
    loaded: VideoDepthAnything = upstream.load(network, {**tensors, **places}, UNUSED)
    return loaded


def clip(case: dict[str, Any]) -> list[np.ndarray]:
    """A picture that moves by two pixels a frame."""
    count, height, width = case["frames"], case["height"], case["width"]
    whole = seeded.picture(height + 2 * count, width + 2 * count, case["seed"])
    return [whole[2 * k : 2 * k + height, 2 * k : 2 * k + width] for k in range(count)]


def predicted(network: VideoDepthAnything, case: dict[str, Any]) -> np.ndarray:
    """The clip's maps as the backend makes them, each frame encoded once."""
    frames = clip(case)
    size = input_size(case["height"], case["width"], case["input_size"])
    grid = size[0] // 14, size[1] // 14

    def full(values: torch.Tensor) -> list[np.ndarray]:
        shape = (case["height"], case["width"])
        large = F.interpolate(values[:, None], shape, mode="bilinear", align_corners=True)
        return list(large[:, 0].numpy())

    with torch.inference_mode():
        features = [
            network.encode(torch.from_numpy(network_input(frame, size))[None]) for frame in frames
        ]
        maps: list[np.ndarray] = []
        if case["kind"] == "stream":
            stream = Stream()
            for one in features:
                values, states = network.decode(one, grid, stream.past())
                stream.add(states)
                maps += full(values)
            return np.stack(maps)
        joiner = Joiner(case["metric"])
        for numbers in windows(len(frames)):
            levels = [torch.cat([features[k][level] for k in numbers]) for level in range(4)]
            maps += joiner.add(full(network.decode(levels, grid)[0]))
        return np.stack([*maps, *joiner.rest()][: len(frames)])


@pytest.mark.parametrize("name", ["forward_1", "forward_5", "forward_tall_4", "forward_32"])
def test_frames_that_see_each_other(
    upstream: Upstream, network: VideoDepthAnything, name: str
) -> None:
    case = upstream.about["cases"][name]
    grid = case["height"] // 14, case["width"] // 14
    with torch.inference_mode():
        values, _ = network.decode(network.encode(normalised(clip(case))), grid)
    step = case["grid"]
    most, middle = off(values[:, ::step, ::step].numpy(), upstream.numbers[name])
    assert most < 1e-4 and middle < 1e-6


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.thorough) if n in LONGER else n for n in CASES]
)
def test_clips_in_windows_and_streamed(
    upstream: Upstream, network: VideoDepthAnything, name: str
) -> None:
    case = upstream.about["cases"][name]
    step = case["grid"]
    maps = predicted(network, case)[:, ::step, ::step]
    most, middle = off(maps, upstream.numbers[name])
    assert most < 1e-4 and middle < 1e-6


@pytest.mark.parametrize("size", ["vitb", "vitl"])
def test_larger_sizes_take_the_published_keys(upstream: Upstream, size: str) -> None:
    with torch.device("meta"):
        network = VideoDepthAnything(size)
    published = dict(upstream.keys[size])
    for name in UNUSED:
        del published[name]
    assert upstream.shapes_of(network) == published
    # the README counts neither positions nor what the coarsest level has nothing to add by
    count = sum(
        p.numel() for name, p in network.named_parameters()
        if "pos_embed" not in name and "refinenet4.resConfUnit1" not in name
    )  # fmt: skip
    assert round(count / 1e6, 1) == {"vitb": 113.1, "vitl": 381.8}[size]


def test_a_frame_differs_in_company(upstream: Upstream, network: VideoDepthAnything) -> None:
    case = upstream.about["cases"]["forward_5"]
    frames, grid = normalised(clip(case)), (case["height"] // 14, case["width"] // 14)
    with torch.inference_mode():
        features = network.encode(frames)
        together, _ = network.decode(features, grid)
        alone, _ = network.decode([level[:1] for level in features], grid)
    assert off(alone[0].numpy(), together[0].numpy())[1] > 1e-3


def test_streams_keep_as_many_states_however_long_the_clip() -> None:
    stream = Stream()
    assert stream.past() is None
    for number in range(200):
        stream.add([torch.full((3, 1, 2), float(number))])
        seen = stream.past()
        assert seen is not None and seen[0].shape == (3, 31, 2)
        assert seen[0][0, 0, 0] == 0  # the first frame stays
    assert len(stream._kept) == 42


def test_windows_cover_every_frame_once_after_joining() -> None:
    for count in (1, 9, 22, 23, 32, 33, 44, 45, 100):
        joiner, seen = Joiner(same_unit=True), list[float]()
        for numbers in windows(count):
            assert len(numbers) == 32 and max(numbers) < count
            seen += [float(one[0]) for one in joiner.add([np.float32([k]) for k in numbers])]
        seen += [float(one[0]) for one in joiner.rest()]
        assert list(islice(seen, count)) == list(range(count))


def test_a_window_that_is_turned_over_is_counted() -> None:
    joiner = Joiner(same_unit=False)
    ramp = [np.linspace(0, 1 + k, 20, dtype=np.float32) for k in range(32)]
    list(joiner.add(ramp))
    assert joiner.turned == 0
    list(joiner.add([2 - one for one in ramp]))
    assert joiner.turned == 1
