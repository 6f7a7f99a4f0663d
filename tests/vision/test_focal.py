"""The focal length that fits a clip's motion: found where the motion decides it, refused where it does not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprep.vision.focal import best_focal
from tests.conftest import APC, SMALL, RunHere


def valley(at: float, steepness: float = 3.0, least: float = 0.4) -> Callable[[float], float]:
    """A residual that is least at a factor and grows with the square of the logarithm, as measured ones do."""
    return lambda factor: least * (1 + steepness * np.log(factor / at) ** 2)


@given(st.floats(0.62, 2.4), st.floats(2.5, 40.0), st.floats(0.01, 10.0))
def test_the_bottom_of_a_valley_is_found(at: float, steepness: float, least: float) -> None:
    found = best_focal(valley(at, steepness, least), 0.5, 3.0, 0.2)
    assert found is not None
    assert found.factor == pytest.approx(at, rel=1e-6)
    # the share by which the residual is 5 % higher, and never less than what is not modelled
    assert found.spread == pytest.approx(max(0.05, np.expm1(np.sqrt(0.05 / steepness))), rel=1e-6)


@pytest.mark.parametrize(
    "cost",
    [
        pytest.param(lambda f: 0.4, id="flat"),
        pytest.param(valley(1.2, 0.5), id="too shallow"),
        pytest.param(lambda f: 1 / f, id="least at the upper end"),
        pytest.param(lambda f: f, id="least at the lower end"),
        pytest.param(lambda f: min(valley(0.8, 30)(f), valley(2.2, 30, 0.5)(f)), id="two valleys"),
    ],
)
def test_what_does_not_decide_is_refused(cost: Callable[[float], float]) -> None:
    assert best_focal(cost, 0.5, 3.0, 0.15) is None


def test_a_second_valley_that_costs_far_more_is_none() -> None:
    found = best_focal(lambda f: min(valley(0.8, 60)(f), valley(2.4, 60, 1.0)(f)), 0.5, 3.0, 0.15)
    assert found is not None and found.factor == pytest.approx(0.8, rel=0.02)


def path(run: Path) -> dict[str, float]:
    (file,) = (run.parent / "store" / "camera_path").glob("*/camera_path.npz")
    with np.load(file, allow_pickle=False) as values:
        return {k: float(values[k]) for k in ("focal_factor", "focal_spread") if k in values}


@pytest.mark.thorough
def test_a_robots_camera_is_calibrated_by_its_motion(run_here: RunHere, shared: Path) -> None:
    """Within ten percent of the RealSense's own calibration, and as near as is claimed."""
    clip = shared / "data" / "rgbd" / "apc"
    run = run_here(
        "data=frames", f"data.path={clip / 'images'}", "data.name=apc", "stages=[cameras]",
        "poses.scale=none",
    )  # fmt: skip
    true = json.loads((clip / "camera.json").read_text())
    cameras = json.loads((run / "dataset" / "apc" / "cameras.json").read_text())
    focal = cameras["frames"][0]["intrinsics"][0]
    found = path(run)
    assert abs(focal / true["fx"] - 1) < 0.10
    assert abs(focal / true["fx"] - 1) < 1.5 * found["focal_spread"]
    assert cameras["intrinsics_known"] is False
    record = (run / "run.json").read_text()
    assert "the focal length was estimated from the clip" in record
    assert "the focal length is a guess" not in record


@pytest.mark.thorough
def test_few_frames_do_not_tell_the_focal_length(run_here: RunHere) -> None:
    run = run_here(
        "data=frames", f"data.path={APC / 'images'}", "data.name=apc", "stages=[cameras]", "poses.scale=none"
    )  # fmt: skip
    assert "could not be estimated from the clip" in (run / "run.json").read_text()
    assert path(run) == {}


def test_a_camera_that_goes_sideways_does_not_tell_its_focal_length(
    run_here: RunHere, tmp_path: Path
) -> None:
    run_here(*SMALL, "stages=[metric_depth]")
    (frames,) = {p.parent for p in (tmp_path / "store" / "images").glob("*/00000.png")}
    run = run_here(
        "data=frames", f"data.path={frames}", "data.name=unknown", "stages=[cameras]",
        "poses.scale=none", name="unknown",
    )  # fmt: skip
    assert "could not be estimated from the clip" in (run / "run.json").read_text()
    cameras = json.loads((run / "dataset" / "unknown" / "cameras.json").read_text())
    guess = 160 / 2 / np.tan(np.radians(55 / 2))
    assert cameras["frames"][0]["intrinsics"][0] == pytest.approx(guess)
    known = run_here(*SMALL, "stages=[cameras]", "poses.scale=none", name="known")
    assert "focal length" not in (known / "run.json").read_text().replace("guess of the focal", "")
