"""The demo clip's truth agrees with its pictures."""

import cv2
import numpy as np
import pytest

from dynprep.scene.data import DemoData
from dynprep.scene.truth import Truth
from dynprep.store import Store


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    return DemoData(
        name=None, start=0, end=None, stride=1, fps=None, max_frames=None, on_error="fail", split=None, truth=None,
        shard=None, on_scene_error="stop",
        count=24, height=120, width=216, focal=0.88, sensor_noise=0.01, sensor_range=10.0,
        sensor_holes=0.05, seed=0,
    )  # fmt: skip


def test_true_flow_carries_colours(
    demo: DemoData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    (source,) = demo.sources(store)
    images = [frame.image.astype(np.float32) for frame in source.frames()]
    truth = Truth(source.truth)
    for query, target in ((2, 10), (20, 6), (5, 5)):
        grid = np.stack(np.meshgrid(np.arange(216.0), np.arange(120.0)), -1)
        at, visible, _ = truth.follow(query, target, grid.reshape(-1, 2))
        at, hidden = at.reshape(grid.shape).astype(np.float32), ~visible.reshape(120, 216)
        warped = cv2.remap(images[target], at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        seen = np.median(np.abs(warped - images[query])[~hidden])
        still = np.median(np.abs(images[target] - images[query])[~hidden])
        assert seen < 6 and (query == target or seen < still / 2)


def test_there_are_two_moving_objects_and_one_passes_behind(
    demo: DemoData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (source,) = demo.sources(Store(tmp_path_factory.mktemp("store")))
    truth = Truth(source.truth)
    ball = [int((truth.label(k) == 1).sum()) for k in range(24)]
    crate = [int((truth.label(k) == 2).sum()) for k in range(24)]
    # the ball is seen, mostly hidden behind the pillar, and seen again
    assert min(ball[8:18]) < 0.6 * min(max(ball[:8]), max(ball[18:])) and max(crate) > 0


def test_the_clip_is_deterministic(
    demo: DemoData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clips = []
    for _ in range(2):
        (source,) = demo.sources(Store(tmp_path_factory.mktemp("store")))
        clips.append(source.identity()["sha256"])
    assert clips[0] == clips[1]


def test_sensor_has_noise_and_holes(
    demo: DemoData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from PIL import Image

    (source,) = demo.sources(Store(tmp_path_factory.mktemp("store")))
    truth = Truth(source.truth)
    with Image.open(sorted(source.sensor.iterdir())[3]) as image:
        depth = np.asarray(image) / 1000
    holes = depth == 0
    assert 0.04 < holes.mean() < 0.3
    error = (depth / truth.depth(3) - 1)[~holes]
    assert 0.008 < error.std() < 0.012
