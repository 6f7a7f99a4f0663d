"""What is said of every metric, and that the metrics and those who read their names agree."""

import subprocess
import sys

import pytest
import torch

from dynprep.metrics import names
from dynprep.metrics.consistency import EdgeSharpness, WarpConsistency
from dynprep.metrics.depth import DepthErrors
from dynprep.metrics.masks import MaskScores
from dynprep.metrics.names import METRICS, direction, is_detail, metric_name
from dynprep.metrics.tracks import CYCLES, CycleConsistency, TapVid


def test_names_are_known_without_torch() -> None:
    code = "import sys, dynprep.metrics.names; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_metric_is_said_once_and_in_a_sentence() -> None:
    assert len({m.name for m in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.better in (1, -1, 0), metric
        assert metric.text[0].isupper() and metric.text.endswith("."), metric
        assert "/" not in metric.name


@pytest.mark.parametrize(
    ("score", "name", "better", "detail"),
    [
        ("depth/absrel/disparity/video/lsq/static", "absrel", -1, False),
        ("depth/opw/range", "opw", -1, False),
        ("tracks/cycle_next/within_2px", "within_2px", 1, True),
        ("masks/J", "J", 1, False),
        ("J/masks/F", "F", 1, False),
        ("metric_depth/silog/depth/none", "silog", -1, True),
        ("GPU_GB", "GPU_GB", -1, False),
    ],
)
def test_a_score_is_read(score: str, name: str, better: int, detail: bool) -> None:
    metric = metric_name(score)
    assert metric is not None and metric.name == name
    assert (direction(score), is_detail(score)) == (better, detail)


@pytest.mark.parametrize("score", ["parameters", "", "depth/video"])
def test_what_is_no_metric_has_no_direction(score: str) -> None:
    assert metric_name(score) is None
    assert direction(score) == 0 and not is_detail(score)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (DepthErrors(), names.DEPTH),
        (MaskScores(), names.MASKS),
        (TapVid(), names.TRACKS),
        (CycleConsistency(), names.CYCLES),
        (WarpConsistency(), names.STEADINESS),
        (EdgeSharpness(), names.EDGES),
    ],
)
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_metrics_give_the_names_that_are_said(
    metric: torch.nn.Module, said: tuple[names.MetricName, ...]
) -> None:
    assert tuple(metric.compute()) == tuple(m.name for m in said)
    directions = {m.better for m in said}
    expected = None if len(directions) > 1 else directions == {1}
    assert metric.higher_is_better is expected


def test_cycles_are_named_after_their_thresholds() -> None:
    assert [m.name for m in names.CYCLES[1:]] == [f"within_{c:g}px" for c in CYCLES]
