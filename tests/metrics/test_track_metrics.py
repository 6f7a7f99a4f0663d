"""TAP-Vid's metrics and cycles against slow references."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dynprep.metrics.tracks import CYCLES, THRESHOLDS, CycleConsistency, TapVid

Pair = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def made_up(seed: int, points: int) -> Pair:
    rng = np.random.default_rng(seed)
    true = rng.uniform(0, 300, (points, 2))
    off = rng.normal(0, 6, (points, 2)) * rng.uniform(0, 1, (points, 1))
    seen, said = rng.random((2, points)) < 0.7
    return tuple(map(torch.from_numpy, (true + off, said, true, seen)))  # type: ignore[return-value]


def slow(pairs: list[Pair], size: tuple[int, int]) -> dict[str, float]:
    """Point by point, as the paper says it."""
    near, jaccards = [], []
    everything = [tuple(v.numpy() for v in pair) for pair in pairs]
    for threshold in THRESHOLDS:
        hits = visible = tp = fp = 0
        for predicted, said, true, seen in everything:
            for p, s, t, v in zip(predicted, said, true, seen, strict=True):
                dx, dy = (p[0] - t[0]) * 256 / size[1], (p[1] - t[1]) * 256 / size[0]
                close = math.hypot(dx, dy) < threshold
                visible += bool(v)
                hits += bool(v and close)
                tp += bool(v and close and s)
                fp += bool(s and not (v and close))
        near.append(hits / visible)
        jaccards.append(tp / (visible + fp))
    right = [
        bool(a == b) for _, said, _, seen in everything for a, b in zip(said, seen, strict=True)
    ]
    return {
        "delta_avg": 100 * float(np.mean(near)),
        "OA": 100 * float(np.mean(right)),
        "AJ": 100 * float(np.mean(jaccards)),
    }


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=25)
def test_tapvid_is_the_slow_reference(seed: int, count: int) -> None:
    size = (180, 320)
    pairs = [made_up(seed + k, 40) for k in range(count)]
    whole, one, two = TapVid(), TapVid(), TapVid()
    for k, pair in enumerate(pairs):
        whole.update(*pair, size)
        (one if k % 2 else two).update(*pair, size)
    found = {k: float(v) for k, v in whole.compute().items()}
    for name, value in slow(pairs, size).items():
        assert math.isclose(found[name], value, rel_tol=1e-6)
    # two ranks that add their sums say the same
    one.merge_state(two)
    assert {k: float(v) for k, v in one.compute().items()} == found


def test_nothing_to_judge_is_nan() -> None:
    metric = TapVid()
    points = torch.zeros(3, 2)
    hidden = torch.zeros(3, dtype=torch.bool)
    metric.update(points, hidden, points, hidden, (100, 100))
    found = metric.compute()
    assert math.isnan(found["delta_avg"]) and math.isnan(found["AJ"]) and found["OA"] == 100


def test_cycles() -> None:
    metric = CycleConsistency()
    start = torch.zeros(4, 2)
    back = torch.tensor([[0.0, 0], [0, 1.5], [3, 0], [100, 0]])
    metric.update(start, back, torch.tensor([True, True, True, False]))
    found: dict[str, NDArray[np.float64] | float] = {
        k: float(v) for k, v in metric.compute().items()
    }
    assert found["mean_px"] == 1.5
    shares = [100 / 3, 200 / 3, 100.0]
    for cycle, share in zip(CYCLES, shares, strict=True):
        assert math.isclose(float(found[f"within_{cycle:g}px"]), share, rel_tol=1e-9)
    assert all(math.isnan(float(v)) for v in CycleConsistency().compute().values())
