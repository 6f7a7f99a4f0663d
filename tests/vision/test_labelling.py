"""Labels from colour and place, motion against the border, ids over frames, regions that are marked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprep.arrays import BoolArray
from dynprep.metrics.regions import jaccard
from dynprep.vision.appearance import Appearance, Scales, log_odds
from dynprep.vision.border import against_border
from dynprep.vision.marked_region import marked_region
from dynprep.vision.object_ids import ObjectIds

H, W = 48, 64
SCALES = Scales((25.0, 12.0, 12.0), 0.15, 1.0)


def picture() -> tuple[np.ndarray, BoolArray]:
    """A red square on noisy green (H, W, 3), and where it is."""
    rgb = np.random.default_rng(0).integers(0, 40, (H, W, 3)).astype(np.uint8)
    rgb[..., 1] += 120
    square = np.zeros((H, W), bool)
    square[15:33, 20:44] = True
    rgb[square] = (200, 40, 40)
    return rgb, square


def test_a_label_is_known_from_colour_where_half_of_it_was_never_seen() -> None:
    rgb, square = picture()
    model = Appearance(200, SCALES, seed=1)
    inputs = model.inputs(rgb, 0.0)
    left = np.zeros((H, W), bool)
    left[:, :32] = True
    model.add(inputs[left], square[left].astype(np.float64), np.ones(left.sum()))
    assert jaccard(model(inputs) > 0.5, square) > 0.9


def test_samples_may_come_in_parts_and_what_fades_is_outweighed() -> None:
    rgb, square = picture()
    whole, parts = Appearance(50, SCALES, seed=1), Appearance(50, SCALES, seed=1)
    inputs, labels = whole.inputs(rgb, 0.5).reshape(-1, 6), square.ravel().astype(np.float64)
    ones = np.ones(len(labels))
    whole.add(inputs, labels, ones)
    for some in np.array_split(np.arange(len(labels)), 3):
        parts.add(inputs[some], labels[some], ones[some])
    assert np.allclose(whole(inputs), parts(inputs), atol=1e-3)
    whole.fade(0.01)
    whole.add(inputs, 1 - labels, ones)
    assert jaccard(whole(inputs).reshape(H, W) > 0.5, ~square) > 0.9


def test_a_model_refuses_labels_of_another_number() -> None:
    model = Appearance(10, SCALES, seed=0)
    with pytest.raises(ValueError, match="labels"):
        model.add(np.zeros((5, 6), np.float32), np.zeros(4), np.ones(5))


@given(st.floats(0.03, 0.97))
def test_log_odds_are_odd_around_a_half(share: float) -> None:
    assert log_odds(np.array(share)) == pytest.approx(-log_odds(np.array(1 - share)))


@given(st.lists(st.floats(-3, 3), min_size=12, max_size=12))
@settings(max_examples=30)
def test_a_plane_before_any_camera_does_not_move_against_the_border(terms: list[float]) -> None:
    y, x = np.mgrid[:H, :W] / W - 0.5
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
    flow = basis @ np.array(terms).reshape(6, 2)
    off = against_border(flow.astype(np.float32), np.ones((H, W)), 0.12, 0.05)
    assert off.max() < 1e-3


def test_an_object_that_the_camera_follows_moves_against_the_border() -> None:
    flow = np.full((H, W, 2), (2.0, 0.5), np.float32)
    flow[8:44, 10:54] = 0  # more than half of the image stands still in it
    off = against_border(flow, np.ones((H, W)), 0.12, 0.05)
    assert off[8:44, 10:54].min() > 1.5 and off[:5].max() < 0.1


def box(left: int, top: int, size: int = 8) -> BoolArray:
    mask = np.zeros((H, W), bool)
    mask[top : top + size, left : left + size] = True
    return mask


def test_ids_stay_with_objects_that_pass_each_other_and_new_ones_get_new_ids() -> None:
    names = ObjectIds()
    first = names.name(box(2, 2) | box(2, 30, 6), np.zeros((H, W), np.uint8))
    assert (first[2, 2], first[30, 2]) == (1, 2)  # the larger one is named first
    carried = np.roll(first, 3, axis=1)
    later = names.name(box(5, 2) | box(5, 30, 6) | box(40, 20), carried)
    assert (later[2, 5], later[30, 5], later[20, 40]) == (1, 2, 3)
    broken = names.name(later > 0, np.where(carried == 2, 0, carried).astype(np.uint8))
    assert broken[2, 5] == 1 and broken[30, 5] not in (1, 2, 3)


def test_more_objects_than_ids_share_the_last() -> None:
    names = ObjectIds()
    nothing = np.zeros((H, W), np.uint8)
    for _ in range(300):
        ids = names.name(box(0, 0), nothing)
    assert set(np.unique(ids)) == {0, 255}


def test_a_point_or_a_box_marks_the_square_and_a_point_outside_takes_from_it() -> None:
    rgb, square = picture()
    assert jaccard(marked_region(rgb, [], (16.0, 11.0, 47.0, 36.0)), square) > 0.95
    assert jaccard(marked_region(rgb, [(30.0, 24.0, True)], None), square) > 0.95
    without = marked_region(rgb, [(22.0, 24.0, True), (42.0, 24.0, False)], None)
    assert without[24, 22] and not without[24, 42]


def test_a_point_on_the_last_half_pixel_is_on_the_image() -> None:
    rgb, _ = picture()
    assert marked_region(rgb, [(W - 0.6, H - 0.6, True)], None)[H - 1, W - 1]
    assert marked_region(rgb, [(W - 0.4, H - 0.4, True)], (W - 0.45, 0.0, W - 0.4, 9.0)).any()
