"""Surface normals: exact on planes, in the camera's axes, and a folder like any other."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprep.backends.normals.from_depth import normals_of
from tests.conftest import SMALL, RunHere

CAMERA = np.array([60.0, 55.0, 31.0, 20.0])  # fx, fy, cx, cy


@given(
    tilt=st.floats(-0.8, 0.8), slant=st.floats(-0.8, 0.8), distance=st.floats(0.5, 20.0)
)  # fmt: skip
@settings(max_examples=40)
def test_planes_have_their_normal_everywhere(tilt: float, slant: float, distance: float) -> None:
    """A plane n·X = distance has the disparity n·(x, y, 1) / distance where it is seen."""
    normal = np.array([tilt, slant, -1.0]) / np.linalg.norm([tilt, slant, -1.0])
    x = (np.arange(64) - CAMERA[2]) / CAMERA[0]
    y = ((np.arange(40) - CAMERA[3]) / CAMERA[1])[:, None]
    disparity = -(normal[0] * x + normal[1] * y + normal[2]) / distance
    normals = normals_of(disparity.astype(np.float32), CAMERA)
    seen = normals.any(-1)
    assert (seen | (disparity < 0.02))[2:-2, 2:-2].all()
    angles = np.degrees(np.arccos(np.clip(normals[seen] @ normal, -1, 1)))
    assert not len(angles) or np.quantile(angles, 0.9) < 0.5


def test_no_normal_beside_an_invalid_pixel() -> None:
    disparity = np.full((20, 30), 0.5, np.float32)
    disparity[8, 11] = 0
    normals = normals_of(disparity, CAMERA)
    assert not normals[7:10, 10:13].any() and np.isfinite(normals).all()
    assert np.allclose(normals[2, 2], [0, 0, -1])  # a wall that faces the camera


def test_a_run_with_normals(run_here: RunHere) -> None:
    run = run_here(*SMALL, "normals=from_depth", "alignment=huber")
    folder = run / "dataset" / "demo" / "normals"
    stems = sorted(p.stem for p in (run / "dataset" / "demo" / "images").iterdir())
    assert sorted(p.name for p in folder.iterdir()) == [f"{stem}.npy" for stem in stems]
    normals = np.load(folder / "00003.npy", allow_pickle=False)
    assert normals.shape == (96, 160, 3) and normals.dtype == np.float32
    lengths = np.linalg.norm(normals, axis=-1)
    assert np.isclose(lengths[lengths > 0], 1, atol=1e-5).all()
    assert (lengths > 0).mean() > 0.9 and (normals[..., 2] <= 0).mean() > 0.9
    found = json.loads((run / "consistency.json").read_text())["demo"]
    assert 0 < found["normals/turn_deg"] < 60
    assert (run / "media" / "demo" / "normals" / "00000.jpg").is_file()


@pytest.mark.parametrize("stage", ["all", "[normals]"])
def test_normals_are_off_unless_chosen(stage: str, run_here: RunHere) -> None:
    from dynprep.errors import UserError

    if stage == "all":
        run = run_here(*SMALL, "stages=[masks]")
        assert not (run / "dataset" / "demo" / "normals").exists()
    else:
        with pytest.raises(UserError, match="there is no stage 'normals'"):
            run_here(*SMALL, f"stages={stage}")
