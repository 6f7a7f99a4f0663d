"""Depth, masks and consistency against slow references and independent libraries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional import mean_absolute_percentage_error, mean_squared_error
from torchmetrics.functional.classification import binary_jaccard_index

from dynprep.metrics.consistency import EdgeSharpness, WarpConsistency, likeness
from dynprep.metrics.depth import AffineFit, DepthErrors, MedianScale, Protocol
from dynprep.metrics.masks import MaskScores
from dynprep.metrics.regions import boundary, boundary_f, jaccard

SEEDS = st.integers(0, 10_000)


def depths(seed: int, count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.5, 20, count)
    return torch.from_numpy(true * np.exp(rng.normal(0, 0.3, count))), torch.from_numpy(true)


@given(SEEDS)
@settings(max_examples=20)
def test_depth_errors_are_the_formulas(seed: int) -> None:
    metric, rows = DepthErrors(), []
    for k in range(3):
        d, t = depths(seed + k)
        metric.update(d, t)
        e = [math.log(a) - math.log(b) for a, b in zip(d.tolist(), t.tolist(), strict=True)]
        mean = sum(e) / len(e)
        ratios = [max(a / b, b / a) for a, b in zip(d.tolist(), t.tolist(), strict=True)]
        rows.append(
            [
                float(mean_absolute_percentage_error(d, t)),
                float(mean_squared_error(d, t, squared=False)),
                math.sqrt(sum(x * x for x in e) / len(e)),
                math.sqrt(sum(x * x for x in e) / len(e) - mean**2),
                *(sum(r < 1.25**k for r in ratios) / len(ratios) for k in (1, 2, 3)),
            ]
        )
    found = metric.compute()
    assert list(found) == list(DepthErrors.names)
    np.testing.assert_allclose([float(v) for v in found.values()], np.mean(rows, 0), rtol=1e-5)


def test_nothing_valid_is_nan_and_counts_for_nothing() -> None:
    metric, nothing = DepthErrors(), torch.zeros(0)
    metric.update(nothing, nothing)
    assert all(math.isnan(v) for v in metric.compute().values())
    d, t = depths(1)
    metric.update(d, t)
    alone = DepthErrors()
    alone.update(d, t)
    assert metric.compute() == alone.compute()


@given(SEEDS, st.floats(0.1, 10), st.floats(0.0, 1.0))
@settings(max_examples=20)
def test_fits_undo_what_they_fit(seed: int, scale: float, shift: float) -> None:
    _, true = depths(seed)
    halves = true.chunk(2)

    def pairs(space: str):  # type: ignore[no-untyped-def]
        for part in halves:
            values = part if space == "depth" else 1 / part
            yield (values - shift) / scale, part

    for space in ("disparity", "depth"):
        for scope in ("video", "image"):
            found = Protocol(space, scope, "lsq").score(lambda s=space: pairs(s))  # type: ignore[arg-type]
            assert found[f"absrel/{space}/{scope}/lsq"] < 1e-6
    by_median = Protocol("depth", "video", "median").score(lambda: ((p / scale, p) for p in halves))
    assert by_median["absrel/depth/video/median"] < 1e-3
    unfitted = Protocol("depth").score(lambda: ((p / 2, p) for p in halves))
    assert unfitted["absrel/depth/none"] == pytest.approx(0.5)


@given(SEEDS)
@settings(max_examples=10)
def test_fits_in_one_pass_are_numpys(seed: int) -> None:
    x, y = depths(seed)
    fit, median = AffineFit(), MedianScale()
    for a, b in zip(x.chunk(3), y.chunk(3), strict=True):
        fit.update(a, b)
        median.update(a, b)
    np.testing.assert_allclose(fit.compute(), np.polyfit(x, y, 1), rtol=1e-6, atol=1e-9)
    assert float(median.compute()) == pytest.approx(float(np.median(y) / np.median(x)), rel=0.02)


def masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:90, :160]
    discs = []
    for _ in range(2):
        cy, cx, r = rng.uniform(20, 70), rng.uniform(30, 130), rng.uniform(8, 25)
        discs.append((y - cy) ** 2 + (x - cx) ** 2 < r * r)
    return discs[0], discs[0] ^ (discs[1] & (rng.random(discs[1].shape) < 0.2))


@given(SEEDS)
@settings(max_examples=20)
def test_masks_are_an_independent_librarys(seed: int) -> None:
    evaluator = pytest.importorskip("vos_benchmark.evaluator")
    metric, theirs = MaskScores(), evaluator.Evaluator()
    for k in range(3):
        a, b = masks(seed + k)
        metric.update(a, b)
        theirs.feed_frame(a.astype(np.uint8), b.astype(np.uint8))
        index = binary_jaccard_index(torch.from_numpy(a), torch.from_numpy(b))
        assert jaccard(a, b) == pytest.approx(float(index), rel=1e-5)
    iou, f = theirs.conclude()
    found = metric.compute()
    assert float(found["J"]) * 100 == pytest.approx(iou[1])
    assert float(found["F"]) * 100 == pytest.approx(f[1])


def test_empty_masks() -> None:
    nothing, some = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    some[5:10, 5:10] = True
    assert jaccard(nothing, nothing) == boundary_f(nothing, nothing) == 1
    assert jaccard(nothing, some) == boundary_f(nothing, some) == boundary_f(some, nothing) == 0
    assert not boundary(nothing).any()


def test_opw_is_the_weighted_change() -> None:
    metric = WarpConsistency()
    here, there = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.5, 9.0])
    metric.update(here, there, torch.tensor([1.0, 1.0, 0.0]), 2.0)
    metric.update(here, there, torch.zeros(3), 2.0)  # nothing seen: no value
    assert float(metric.compute()["opw"]) == pytest.approx(0.125)
    assert likeness(np.zeros((1, 3)), np.zeros((1, 3)))[0] == 1
    assert likeness(np.zeros((1, 3)), np.full((1, 3), 51.0))[0] == pytest.approx(math.exp(-6))


def test_a_step_is_sharp_and_a_ramp_is_not() -> None:
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:, 30:] = 255
    step = np.where(np.arange(60) < 30, 1.0, 2.0).astype(np.float32)[None].repeat(40, 0)
    ramp = np.clip((np.arange(60) - 27) / 5 + 1, 1, 2).astype(np.float32)[None].repeat(40, 0)
    found = []
    for disparity in (step, ramp, np.ones_like(step)):
        metric = EdgeSharpness()
        metric.update(disparity, rgb)
        found.append(metric.compute() if metric.update_called else {})
    assert float(found[0]["sharpness"]) == pytest.approx(1)
    assert float(found[1]["sharpness"]) == pytest.approx(0.2, rel=0.1)
    assert float(found[0]["on_image"]) == 1
    assert math.isnan(found[2]["sharpness"])
    metric = EdgeSharpness()
    metric.update(np.roll(step, 15, 1), rgb)
    assert float(metric.compute()["on_image"]) < 0.5


def _rank(rank: int, folder: str, out) -> None:  # type: ignore[no-untyped-def]
    import torch.distributed as dist

    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    metric = DepthErrors()
    for k in range(5)[rank::2]:  # one rank has more than the other
        metric.update(*depths(k))
    out.put({name: float(v) for name, v in metric.compute().items()})
    dist.destroy_process_group()


def test_two_ranks_say_what_one_says(tmp_path) -> None:  # type: ignore[no-untyped-def]
    context = torch.multiprocessing.get_context("forkserver")
    out = context.SimpleQueue()
    both = [context.Process(target=_rank, args=(r, str(tmp_path), out)) for r in range(2)]
    for process in both:
        process.start()
    found = [out.get(), out.get()]
    for process in both:
        process.join()
    whole = DepthErrors()
    for k in range(5):
        whole.update(*depths(k))
    expected = {name: float(v) for name, v in whole.compute().items()}
    assert found[0] == found[1] == pytest.approx(expected, rel=1e-12)
