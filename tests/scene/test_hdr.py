"""High dynamic range video becomes frames of a standard display."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprep.scene.hdr import PEAK, WHITE, nits_to_pq, pq_to_nits, to_sdr
from dynprep.scene.source import Selection
from dynprep.scene.video import VideoSource
from tests.conftest import RunHere, sliding, write_video

Captured = pytest.CaptureFixture[str]
LOSSLESS = {"x265-params": "log-level=none:lossless=1"}
ALL = Selection(0, None, 1, None, None)


def patch(nits: list[float]) -> np.ndarray:
    """One pixel of PQ code values."""
    return np.rint(65535 * nits_to_pq(np.array(nits, np.float64))).astype(np.uint16)[None, None]


def write_pq(path: Path, nits: list[float], count: int = 4) -> Path:
    """A clip of one colour, 10 bit, PQ, BT.2020, written by libx265 as phones write it."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=24, options=LOSSLESS)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = 16, 9, 9
        context.color_range = 1
        colour = np.broadcast_to(patch(nits), (64, 96, 3))
        for k in range(count):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(colour), format="rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace="BT2020")
            frame.color_trc, frame.colorspace, frame.color_primaries = 16, 9, 9
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@given(st.floats(0.01, 9999))
def test_the_transfer_function_has_an_inverse(nits: float) -> None:
    assert pq_to_nits(nits_to_pq(np.array(nits))) == pytest.approx(nits, rel=1e-6)


def test_known_values_of_pq() -> None:
    # SMPTE ST 2084: 100 nits are 0.508, 1,000 are 0.752, 10,000 are 1
    assert nits_to_pq(np.array([100.0, 1000.0, 10000.0])) == pytest.approx(
        [0.508, 0.752, 1], abs=1e-3
    )


def test_what_is_dark_stays_and_what_is_bright_is_bent() -> None:
    grey = [int(to_sdr(patch([n] * 3), "PQ")[0, 0, 0]) for n in (0, 1, 20, 60, 203, 1000, 4000)]
    assert grey == sorted(grey) and grey[0] == 0 and grey[-2:] == [255, 255]
    # below the knee the light is what it was
    assert grey[2] == pytest.approx(255 * (20 / WHITE) ** (1 / 2.4), abs=1)
    assert grey[3] == pytest.approx(255 * (60 / WHITE) ** (1 / 2.4), abs=1)
    assert 190 < grey[4] < 250


def test_grey_stays_grey_and_hues_stay() -> None:
    for transfer in ("PQ", "HLG"):
        ramp = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[:, None, None], 3, 2)
        made = to_sdr(ramp, transfer).astype(int)
        assert np.ptp(made, axis=-1).max() <= 1 and (np.diff(made[:, 0, 0]) >= 0).all()
        assert made[0, 0, 0] == 0 and made[-1, 0, 0] == 255
    red = to_sdr(patch([300, 20, 20]), "PQ")[0, 0]
    assert red[0] > 200 and red[1:].max() < 100
    assert PEAK > WHITE


def test_a_pq_video_is_read_and_said(tmp_path: Path, run_here: RunHere, capsys: Captured) -> None:
    path = write_pq(tmp_path / "phone.mp4", [203.0, 60.0, 20.0])
    source = VideoSource(path, "phone", ALL, "fail")
    assert source.transfer == "PQ" and "tone_map" in source.identity()
    wanted = to_sdr(patch([203.0, 60.0, 20.0]), "PQ")[0, 0].astype(int)
    first = next(source.frames()).image[32, 48].astype(int)
    assert np.abs(first - wanted).max() <= 3
    run_here("data=video", f"data.path={path}", "stages=[images]")
    assert "HDR (PQ), brought to a standard display" in capsys.readouterr().err.replace("\n", " ")


def test_other_video_is_left_as_it_is(tmp_path: Path) -> None:
    source = VideoSource(write_video(tmp_path / "a.mp4", sliding(3, 64, 96)), "a", ALL, "fail")
    assert (
        source.transfer is None and source.remarks() == [] and "tone_map" not in source.identity()
    )
