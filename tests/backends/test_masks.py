"""Masks without weights: what moves by itself, and what a user marks and flow and colour carry."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynprep.errors import UserError
from dynprep.metrics.regions import jaccard
from tests.conftest import RunHere, write_frames

SIZE = (96, 160)
COUNT = 12
HIDDEN = range(5, 8)  # frames on which the square stands still


def places() -> list[int]:
    """The square's left edge on every frame: it walks, stands, and walks on."""
    steps = [0 if k in HIDDEN else 3 for k in range(COUNT)]
    return [20 + int(s) for s in np.cumsum(steps)]


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    """Frames of a coloured square before a textured wall that a camera passes, and where the square is."""
    rng = np.random.default_rng(3)
    small = rng.integers(60, 200, (24, 80, 3)).astype(np.uint8)
    wall = np.asarray(Image.fromarray(small).resize((320, 96), Image.Resampling.BICUBIC)).copy()
    fur = rng.integers(0, 60, (30, 30, 3)).astype(np.uint8)
    fur[..., 0] += 190
    pictures, true = [], []
    for k, left in enumerate(places()):
        picture = wall[:, 2 * k : 2 * k + SIZE[1]].copy()
        picture[34:64, left : left + 30] = fur
        inside = np.zeros(SIZE, bool)
        inside[34:64, left : left + 30] = True
        pictures.append(picture)
        true.append(inside)
    return write_frames(tmp_path / "frames", pictures), true


def made(run: Path, folder: str = "masks") -> list[np.ndarray]:
    (where,) = (run / "dataset").glob(f"*/{folder}")
    return [np.asarray(Image.open(path)) for path in sorted(where.glob("*.png"))]


def masks(run_here: RunHere, frames: Path, *options: str) -> Path:
    return run_here(
        "data=frames", f"data.path={frames}", "data.name=square", "stages=[masks]", *options
    )  # fmt: skip


@pytest.mark.thorough
def test_what_stands_still_in_between_is_found_there_too(
    run_here: RunHere, clip: tuple[Path, list[np.ndarray]]
) -> None:
    run = masks(run_here, clip[0], "masks=motion")
    scores = [jaccard(mask > 0, true) for mask, true in zip(made(run), clip[1], strict=True)]
    assert min(scores) > 0.7 and np.mean(scores) > 0.85
    objects = made(run, "objects")
    assert {int(ids[true].max()) for ids, true in zip(objects, clip[1], strict=True)} == {1}


@pytest.mark.parametrize(
    "mark", ["masks.points=[[48,50,1]]", "masks.box=[31,32,67,66]"], ids=["a point", "a box"]
)
def test_what_is_marked_on_one_frame_is_carried_both_ways(
    run_here: RunHere, clip: tuple[Path, list[np.ndarray]], mark: str
) -> None:
    run = masks(run_here, clip[0], "masks=propagate", mark, "masks.frame=4")
    scores = [jaccard(mask > 0, true) for mask, true in zip(made(run), clip[1], strict=True)]
    assert min(scores) > 0.8


def test_a_drawn_mask_is_kept_as_it_is_and_objects_have_their_ids(
    run_here: RunHere, clip: tuple[Path, list[np.ndarray]], tmp_path: Path
) -> None:
    Image.fromarray(clip[1][2].astype(np.uint8)).save(tmp_path / "square.png")
    place = np.zeros(SIZE, np.uint8)
    place[:20, :20] = 1
    Image.fromarray(place).save(tmp_path / "corner.png")
    corner = {"object": 3, "frame": 5, "mask": "corner.png"}
    prompts = {"square": [{"object": 2, "frame": 2, "mask": "square.png"}, corner]}
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    file = f"masks.prompts={tmp_path / 'prompts.json'}"
    ids = made(masks(run_here, clip[0], "masks=propagate", file), "objects")
    assert np.array_equal(ids[2] == 2, clip[1][2])
    assert 3 not in ids[4] and set(np.unique(ids[6])) <= {0, 2, 3}
    assert jaccard(ids[-1] == 2, clip[1][-1]) > 0.8


@pytest.mark.thorough
def test_what_moves_most_clearly_is_marked_by_itself(
    run_here: RunHere, clip: tuple[Path, list[np.ndarray]]
) -> None:
    run = masks(run_here, clip[0], "masks=propagate", "masks.prompts=auto")
    scores = [jaccard(mask > 0, true) for mask, true in zip(made(run), clip[1], strict=True)]
    assert np.mean(scores) > 0.8


def test_a_point_outside_of_the_image_is_one_line(
    run_here: RunHere, clip: tuple[Path, list[np.ndarray]]
) -> None:
    with pytest.raises(UserError, match=r"400, 50 lies outside of the images"):
        masks(run_here, clip[0], "masks=propagate", "masks.points=[[400,50,1]]")


def test_a_mark_that_holds_nothing_is_one_line(
    run_here: RunHere, clip: tuple[Path, list[np.ndarray]]
) -> None:
    with pytest.raises(UserError, match="what marks object 1 on frame 2 holds no pixel"):
        masks(
            run_here, clip[0], "masks=propagate", "masks.box=[3.4,3.4,3.45,3.45]", "masks.frame=2"
        )


def test_a_later_point_outside_takes_from_the_object_and_keeps_the_rest(
    run_here: RunHere, clip: tuple[Path, list[np.ndarray]], tmp_path: Path
) -> None:
    left = places()
    marks = [
        {"object": 1, "frame": 0, "box": [left[0] - 1, 33, left[0] + 31, 65]},
        {"object": 1, "frame": 3, "points": [[left[3] + 28, 49, 0]]},
    ]
    (tmp_path / "prompts.json").write_text(json.dumps({"square": marks}))
    found = made(
        masks(run_here, clip[0], "masks=propagate", f"masks.prompts={tmp_path / 'prompts.json'}")
    )
    assert found[2][49, left[2] + 28] == 255
    assert found[3][49, left[3] + 28] == 0 and found[3][49, left[3] + 8] == 255


def test_nothing_moves_in_one_frame_and_nothing_is_found(run_here: RunHere, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    run = masks(run_here, write_frames(tmp_path / "still", [picture] * 4), "masks=motion")
    assert not any(mask.any() for mask in made(run))
