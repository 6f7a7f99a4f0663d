"""The check of shapes, and public functions that begin with it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks.random_weights import seeded
from dynprep.arrays import check_shapes
from dynprep.metrics.consistency import EdgeSharpness, WarpConsistency, likeness
from dynprep.metrics.depth import AffineFit, DepthErrors, MedianScale
from dynprep.metrics.masks import MaskScores
from dynprep.metrics.regions import agreement
from dynprep.metrics.tracks import CycleConsistency, TapVid
from dynprep.models import AllTracker
from dynprep.models.alltracker.correlation import Correlation, pyramid
from dynprep.models.alltracker.engine import AllPairs
from dynprep.models.alltracker.network import Framing
from dynprep.models.alltracker.readout import Readout
from dynprep.models.alltracker.upsampling import Pixels, upsample
from dynprep.models.unidepth import framing as unidepth_framing
from dynprep.models.unidepth.camera import pinhole
from dynprep.models.unidepth.config import VARIANTS
from dynprep.models.unidepth.rays import ray_features, unit_rays
from dynprep.vision.affine import huber, least_squares, median_ratio, spread_ratio
from dynprep.vision.bundle import BundleState, Link
from dynprep.vision.bundle_adjustment import refine
from dynprep.vision.chain import Limits, follow
from dynprep.vision.dis import Dis, grey
from dynprep.vision.edge_aware import spread
from dynprep.vision.epipolar import beyond_rotation, first_path, triangulate, two_view
from dynprep.vision.motion import cut_out, drop_specks, rigid_residual
from dynprep.vision.sampling import inside, sample


def test_names_stand_for_sizes_of_arrays_and_tensors() -> None:
    sizes = check_shapes(
        image=(np.zeros((2, 3, 5, 7)), "B 3 H W"), k=(torch.zeros(2, 3, 3), "B 3 3")
    )
    assert sizes == {"B": 2, "H": 5, "W": 7}


def test_dots_in_front_stand_for_any_axes() -> None:
    for leading in ((), (4,), (4, 5)):
        assert check_shapes(points=(np.zeros((*leading, 6, 2)), "... N 2")) == {"N": 6}
    assert check_shapes(scalar=(np.zeros(()), "...")) == {}
    with pytest.raises(ValueError, match=r"points has shape \(2,\); \(\.\.\., N, 2\) is meant"):
        check_shapes(points=(np.zeros(2), "... N 2"))


@pytest.mark.parametrize("shape", [(3, 2), (2,), (2, 3, 1), (), (2, 3, 4)])
def test_another_shape_is_refused_by_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"map has shape \(.*\); \(2, N\) is meant"):
        check_shapes(map=(np.zeros(shape), "2 N"))


def test_a_shared_name_must_have_one_size() -> None:
    with pytest.raises(ValueError, match=r"b has shape \(4, 2\); \(N, 2\) is meant with N=3"):
        check_shapes(a=(np.zeros((3, 2)), "N 2"), b=(np.zeros((4, 2)), "N 2"))
    with pytest.raises(ValueError, match="square"):
        check_shapes(square=(np.zeros((3, 4)), "N N"))


def a(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def u(*shape: int) -> np.ndarray:
    return np.ones(shape, np.uint8)


def b(*shape: int) -> np.ndarray:
    return np.ones(shape, bool)


def t(*shape: int) -> torch.Tensor:
    return torch.ones(shape)


R, T, LINK = np.eye(3), np.ones(3), Link(0, 1, a(9, 2), a(9))
TRACKER = seeded(AllTracker("tiny"), gain=0.5)
PIXELS = Pixels(torch.arange(4), torch.arange(4), (2, 3))
FIT = unidepth_framing.Framing.of(64, 64, VARIANTS["vits14"], None)
READOUT = Readout(a(2, 2), (64, 64), Framing(64, 64), torch.device("cpu"))

REFUSED: dict[str, Callable[[], object]] = {
    "sample: points": lambda: sample(a(4, 5), a(3, 3)),
    "sample: field": lambda: sample(a(4), a(3, 2)),
    "inside": lambda: inside(a(3), 4, 5),
    "median_ratio": lambda: median_ratio(a(4), a(5)),
    "least_squares": lambda: least_squares(a(4), a(4), a(1)),
    "huber": lambda: huber(a(4), a(1), 1.0, 1),
    "spread_ratio": lambda: spread_ratio(a(4), a(2, 2)),
    "grey": lambda: grey(u(4, 5)),
    "Dis": lambda: Dis("fast")(u(32, 32), u(32, 33)),
    "Dis: start": lambda: Dis("fast")(u(32, 32), u(32, 32), a(32, 32)),
    "spread": lambda: spread(a(4, 5), a(4, 5), u(4, 5), 1.0, 1.0),
    "rigid_residual": lambda: rigid_residual(a(4, 2), a(4, 2), R, T, 0.1, 1.0),
    "cut_out": lambda: cut_out(u(4, 5), b(4, 5), 1, 1, 1),
    "drop_specks": lambda: drop_specks(b(4), 1),
    "triangulate": lambda: triangulate(a(4, 3), a(4, 2), R, a(3, 1)),
    "two_view": lambda: two_view(a(8, 2), LINK, 1.0, 0),
    "beyond_rotation": lambda: beyond_rotation(a(9, 2), LINK, 1.0),
    "first_path": lambda: first_path(a(9, 3), {(0, 1): LINK}, 2, 0.5, 0.5, 1.0, 0),
    "Link": lambda: Link(0, 1, a(9, 2), a(8)),
    "BundleState": lambda: BundleState(a(9, 2), a(2, 3, 3), a(2, 3), a(3, 9)),
    "refine": lambda: refine(
        BundleState(a(8, 2), a(2, 3, 3), a(2, 3), a(2, 8)), [LINK], 1.0, 1, 1.0
    ),
    "follow": lambda: next(follow(0, 2, a(4, 3), [1], lambda *_: 0 / 0, Limits(1, 0, 1))),  # type: ignore[arg-type, return-value]
    "agreement": lambda: agreement(a(4, 5), a(5, 4), False),
    "likeness": lambda: likeness(a(4, 3), a(4, 1)),
    "MaskScores": lambda: MaskScores().update(b(4, 5), b(4, 1)),
    "EdgeSharpness": lambda: EdgeSharpness().update(a(4, 5), u(5, 4, 3)),
    "WarpConsistency": lambda: WarpConsistency().update(t(4), t(4), t(1), 1.0),
    "DepthErrors": lambda: DepthErrors().update(t(4), t(1)),
    "AffineFit": lambda: AffineFit().update(t(4), t(5)),
    "MedianScale": lambda: MedianScale().update(t(4, 1), t(4, 1)),
    "TapVid": lambda: TapVid().update(t(4, 2), t(4) > 0, t(4, 2), t(1) > 0, (4, 5)),
    "CycleConsistency": lambda: CycleConsistency().update(t(4, 2), t(1, 2), t(4) > 0),
    "AllTracker.encode": lambda: TRACKER.encode(t(3, 64, 64)),
    "AllTracker.track": lambda: TRACKER.track(t(2, 1, 64, 64), 0),
    "Framing.crop": lambda: Framing(64, 64).crop(t(2, 64, 64)),
    "AllPairs": lambda: AllPairs(TRACKER, t(128, 16, 16), 1, 1e9, 1),
    "pyramid": lambda: pyramid(t(128, 16, 16)),
    "Correlation": lambda: Correlation(t(1, 8, 16, 16), [t(2, 3, 8, 16, 16)], 1 << 62),
    "lookup": lambda: Correlation(
        t(1, 8, 16, 16), [x[None] for x in pyramid(t(2, 8, 16, 16))], 1 << 62
    ).lookup(t(2, 2, 16, 8)),
    "upsample": lambda: upsample(t(1, 2, 4, 4), t(1, 64, 4, 4)),
    "Pixels": lambda: Pixels(t(4), t(3), (2, 2)),
    "Pixels.read": lambda: PIXELS.read(TRACKER.upsample_weight, t(1, 128, 3, 2), t(1, 4, 3, 2)),
    "Readout": lambda: Readout(a(3), (64, 64), Framing(64, 64), torch.device("cpu")),
    "Readout.tracks": lambda: READOUT.tracks(t(2, 3)),
    "pinhole": lambda: pinhole(t(2, 3), (4, 5)),
    "unit_rays": lambda: unit_rays(t(3, 3), (4, 5)),
    "ray_features": lambda: ray_features(t(3, 4, 5), (1, 1), 8),
    "Framing.enter": lambda: FIT.enter(t(1, 3, 64, 65)),
    "Framing.leave": lambda: FIT.leave(t(1, 1, 64, 64)),
    "Framing.camera_in": lambda: FIT.camera_in(t(3, 3), True),
    "Framing.camera_out": lambda: FIT.camera_out(t(1, 4, 4), True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_public_functions_refuse_other_shapes(name: str) -> None:
    with pytest.raises(ValueError, match="shape"):
        REFUSED[name]()
