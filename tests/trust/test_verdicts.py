"""Bad results are said, good ones are not accused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from dynprep.config.build import settings
from dynprep.errors import UserError
from dynprep.verdicts import Finding, Verdict, VerdictBounds
from dynprep.verdicts.depth import _leans_back, _turned_over
from dynprep.verdicts.finding import ranges
from tests.conftest import SMALL, RunHere, composed, sliding, texture, write_frames

FRAMES = ["data=frames", "flow.rate=16", "masks=none", "stages=[masks]"]


def findings(run: Path, scene: str) -> set[tuple[str, str | None]]:
    verdict = json.loads((run / "verdict.json").read_text())[scene]
    assert verdict == json.loads((run / "dataset" / scene / "verdict.json").read_text())
    return {(f["check"], f["frame"]) for f in verdict["findings"]}


def test_frames_that_are_not_good_are_named(run_here: RunHere, tmp_path: Path) -> None:
    frames = sliding(12, 96, 160)
    frames[3] = frames[2]
    frames[5] = np.zeros_like(frames[5])
    other = 255 - texture(96, 200, 7) // 3
    frames[8:] = [other[:, k : k + 160] for k in range(4)]
    clip = write_frames(tmp_path / "clip" / "images", frames)
    found = findings(run_here(*FRAMES, f"data.path={clip}"), "clip")
    assert ("duplicate", "00003") in found and ("black", "00005") in found
    assert ("cut", "00008") in found
    assert {frame for check, frame in found if check == "cut"} <= {"00005", "00006", "00008"}


def test_masks_that_are_not_good_are_named(run_here: RunHere, tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip" / "images", sliding(8, 96, 160))
    (tmp_path / "masks").mkdir()
    for k in range(8):
        mask = np.zeros((96, 160), np.uint8)
        mask[20:60, 40:90] = 255
        if k == 2:
            mask[:] = 0
        if k == 4:
            mask[:] = 255
        if k == 6:
            mask = np.zeros_like(mask)
            mask[90:95, 150:158] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{k:05d}.png")
    given = ["masks=folder", f"masks.path={tmp_path / 'masks'}"]
    found = findings(run_here(*FRAMES, f"data.path={clip}", *given), "clip")
    wanted = {("empty", "00002"), ("full", "00004"), ("area", "00006"), ("place", "00006")}
    assert wanted <= found


def test_depth_that_turns_over_is_named(run_here: RunHere, tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip" / "images", sliding(8, 96, 160))
    (tmp_path / "depth").mkdir()
    for k in range(8):
        rows = np.linspace(4, 1, 96) if k < 6 else np.linspace(1, 4, 96)
        depth = np.repeat(rows[:, None], 160, 1).astype(np.float32)
        np.save(tmp_path / "depth" / f"{k:05d}.npy", depth * (3 if k == 3 else 1))
    run = run_here(
        "data=frames", f"data.path={clip}", "masks=none", "stages=[masks,metric_depth]",
        "metric_depth=sensor", f"metric_depth.path={tmp_path / 'depth'}", "report.page=true",
    )  # fmt: skip
    found = findings(run, "clip")
    assert {("flip", "00006"), ("flip", "00007"), ("level", "00003"), ("level", "00004")} <= found
    page = (run / "report.html").read_text()
    assert "is turned over" in page and 'data-stem="00006"' in page


def test_depth_that_is_inside_out_or_wanders_is_named(run_here: RunHere, tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip" / "images", sliding(6, 96, 160))
    (tmp_path / "depth").mkdir()
    rng = np.random.default_rng(0)
    for k in range(6):
        depth = np.repeat(np.linspace(1, 4, 96)[:, None], 160, 1)  # nearer towards the top
        if k == 4:  # blotches, as water gives them
            blotches = cv2.resize(rng.uniform(0.5, 2, (6, 10)), (160, 96))
            depth = np.where(blotches > 1.3, depth * blotches, depth)
        np.save(tmp_path / "depth" / f"{k:05d}.npy", depth.astype(np.float32))
    run = run_here(
        "data=frames", f"data.path={clip}", "masks=none", "stages=[masks,metric_depth]",
        "metric_depth=sensor", f"metric_depth.path={tmp_path / 'depth'}",
    )  # fmt: skip
    found = findings(run, "clip")
    assert ("upside_down", None) in found
    assert {frame for check, frame in found if check == "wanders"} == {"00004", "00005"}


def test_a_still_camera_is_named(run_here: RunHere, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    still = texture(96, 160)
    frames = [
        np.clip(still + rng.integers(-3, 4, still.shape), 0, 255).astype(np.uint8) for _ in range(5)
    ]
    clip = write_frames(tmp_path / "clip" / "images", frames)
    run = run_here("data=frames", f"data.path={clip}", "flow.rate=16")
    assert ("parallax", None) in findings(run, "clip") and ("one_source", None) in findings(
        run, "clip"
    )


def test_one_source_gets_no_perfect_scores(run_here: RunHere, tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip" / "images", sliding(5, 96, 160))
    both = run_here("data=frames", f"data.path={clip}", "flow.rate=16", name="both")
    assert ("one_source", None) in findings(both, "clip")
    scores = json.loads((both / "consistency.json").read_text())["clip"]
    assert "metric_depth/opw/range" in scores
    assert not [name for name in scores if name.startswith(("alignment/inl", "alignment/res"))]


def test_what_is_not_good_is_said_before_the_next_stage(
    run_here: RunHere, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = sliding(6, 96, 160)
    frames[3] = np.zeros_like(frames[3])
    clip = write_frames(tmp_path / "clip" / "images", frames)
    run = run_here(*FRAMES, f"data.path={clip}")
    lines = capsys.readouterr().err.splitlines()
    said = next(k for k, line in enumerate(lines) if "frame 3: " in line and "black" in line)
    after = next(k for k, line in enumerate(lines) if line.startswith("masks: 6 items"))
    assert said < after
    # what was measured early is what the verdict at the end holds
    assert ("black", "00003") in findings(run, "clip")
    measured = [p.stat().st_mtime_ns for p in (tmp_path / "store").glob("verdicts/*/measures.json")]
    sealed = [p.stat().st_mtime_ns for p in (tmp_path / "store").glob("masks/*/result.json")]
    assert min(measured) < min(sealed)


def test_strict_makes_findings_a_failure_after_the_work(run_here: RunHere, tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip" / "images", [texture(64, 96)] * 3)
    with pytest.raises(UserError, match=r"verdict\.strict=true: \d+ findings"):
        run_here(*FRAMES, f"data.path={clip}", "verdict.strict=true")
    assert (tmp_path / "run" / "dataset" / "clip" / "dynprep.json").is_file()


def bounds(**changes: Any) -> VerdictBounds:
    chosen = settings(*composed([*SMALL, "dataset_dir=a", "store_dir=b"])).verdict
    return replace(chosen, **changes)


def test_a_check_can_be_switched_off(run_here: RunHere, tmp_path: Path) -> None:
    assert bounds(black=None).black is None
    clip = write_frames(tmp_path / "clip" / "images", [np.zeros((64, 96, 3), np.uint8)] * 3)
    off = ["verdict.black=null", "verdict.duplicate=null"]
    assert ("black", "00001") in findings(run_here(*FRAMES, f"data.path={clip}"), "clip")
    found = findings(run_here(*FRAMES, f"data.path={clip}", *off, name="off"), "clip")
    assert not {check for check, _ in found} & {"black", "duplicate"}


@pytest.mark.slow
def test_a_hand_held_clip_whose_depth_turns_over_is_named(run_here: RunHere, shared: Path) -> None:
    """A car that drifts past fills the frames more and more, until the camera's path is lost."""
    run = run_here(
        "data=frames", f"data.path={shared / 'data/davis/drift-straight/images'}", "data.start=8",
        "data.max_frames=16", "resolution.short_side=192", "flow.pairs=window:1",
        "stages=[masks,metric_depth,tracks]",
    )  # fmt: skip
    flips = {frame for check, frame in findings(run, "drift-straight") if check == "flip"}
    assert {"00013", "00014", "00015"} <= flips and "00003" not in flips


@pytest.mark.thorough
def test_depth_of_a_fast_pan_does_not_turn_over(run_here: RunHere, shared: Path) -> None:
    run = run_here(
        "data=frames", f"data.path={shared / 'data/davis/drift-straight/images'}", "masks=motion",
        "stages=[masks,metric_depth]",
    )  # fmt: skip
    found = findings(run, "drift-straight")
    assert not [frame for check, frame in found if check in ("flip", "upside_down", "level")]


@pytest.mark.thorough
def test_a_pan_that_fits_two_scenes_is_upright_and_said(run_here: RunHere, shared: Path) -> None:
    """A pan whose motion fits best with the road far off and the sky near; masks do not follow which one is taken."""
    clip = [
        "data=frames", f"data.path={shared / 'data/davis/car-shadow/images'}", "masks=motion",
        "stages=[masks,metric_depth]",
    ]  # fmt: skip
    upright = run_here(*clip)
    found = findings(upright, "car-shadow")
    assert ("two_scenes", None) in found and ("upside_down", None) not in found
    best = run_here(*clip, "motion.odometry.inside_out=-1", name="best")
    found = findings(best, "car-shadow")
    assert ("two_scenes", None) not in found and ("upside_down", None) in found
    masks = [sorted((run / "dataset/car-shadow/masks").iterdir()) for run in (upright, best)]
    assert [m.read_bytes() for m in masks[0]] == [m.read_bytes() for m in masks[1]]


def test_maps_that_turn_over_slowly_are_seen_by_how_they_lean() -> None:
    leaning = [0.9, 0.9, 0.8, 0.7, 0.1, -0.2, -0.8]
    assert [v is not None for v in _leans_back(leaning, 0.3)] == [False] * 6 + [True]
    assert _leans_back([0.2, None, -0.9], 0.3) == [None] * 3  # the clip itself does not lean


def test_lines_are_few_and_say_which_frames() -> None:
    assert ranges([3, 19, 20, 21]) == "3, 19–21" and ranges([0, 2, 4, 6, 8, 10]).endswith(
        "and 2 more"
    )
    turned = [Finding("depth", "flip", "is turned over", "", f"{k:05d}") for k in (19, 20, 21)]
    empty = [Finding("masks", "empty", "are empty", "", "00003")]
    clip = [Finding("camera_path", "parallax", "stands still", "")]
    also = [replace(finding, stage="alignment") for finding in turned]
    lines = Verdict((*turned, *also, *empty, *clip)).lines()
    assert lines == [
        "frames 19–21: turned over (depth, alignment); frame 3: empty (masks)",
        "stands still (camera_path)",
    ]


def test_the_smaller_side_of_a_flip_is_turned_over() -> None:
    marked = _turned_over([None, 0.9, 0.9, -0.8, 0.9], 0.2)
    assert [v is not None for v in marked] == [False, False, False, True, True]
    marked = _turned_over([None, -0.8, 0.9, 0.9, 0.9], 0.2)
    assert [v is not None for v in marked] == [True, False, False, False, False]
    assert _turned_over([None, 0.9, 0.8], 0.2) == [None, None, None]
