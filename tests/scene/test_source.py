"""Which frames are chosen, and how videos and pictures are read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dynprep.errors import UserError
from dynprep.scene.pictures import FramesSource, listing, upright_rgb
from dynprep.scene.source import Selection
from dynprep.scene.video import VideoSource
from tests.conftest import sliding, texture, write_frames, write_video

ALL = Selection(0, None, 1, None, None)


@given(
    count=st.integers(1, 60),
    start=st.integers(0, 20),
    length=st.one_of(st.none(), st.integers(1, 40)),
    stride=st.integers(1, 7),
    most=st.one_of(st.none(), st.integers(1, 30)),
)
def test_selection_is_a_slice(
    count: int, start: int, length: int | None, stride: int, most: int | None
) -> None:
    end = None if length is None else start + length
    times = [k / 10 for k in range(count)]
    chosen = Selection(start, end, stride, None, most).of(times)
    assert chosen == list(range(count))[start:end:stride][:most]


@given(fps=st.floats(0.5, 60), count=st.integers(2, 50))
def test_fps_keeps_order_and_never_invents_frames(fps: float, count: int) -> None:
    times = [k / 24 for k in range(count)]
    chosen = Selection(0, None, 1, fps, None).of(times)
    assert chosen == sorted(set(chosen)) and set(chosen) <= set(range(count))
    assert len(chosen) <= times[-1] * fps + 1.001
    if fps >= 24:
        # the last tick may fall short of the last frame
        assert set(range(count - 1)) <= set(chosen)


def test_variable_frame_rate_is_sampled_by_time(tmp_path: Path) -> None:
    times = [0, 0.1, 0.2, 0.3, 0.4, 1.4, 2.4]
    path = write_video(tmp_path / "v.mp4", sliding(7, 64, 96), times)
    video = VideoSource(path, "v", Selection(0, None, 1, 1.0, None), "fail")
    assert video.times == pytest.approx(times, abs=2e-3)
    assert video.chosen in ([0, 5, 6], [0, 4, 5, 6])
    assert [f.index for f in video.frames()] == video.chosen


def test_video_frames_are_what_was_written(tmp_path: Path) -> None:
    frames = sliding(6, 64, 96)
    path = write_video(tmp_path / "v.mp4", frames)
    video = VideoSource(path, "v", Selection(1, None, 2, None, None), "fail")
    assert (video.probe().count, video.probe().height, video.probe().width) == (3, 64, 96)
    for raw in video.frames():
        # H.264 with halved colour: close, and closer than to the next frame
        own = np.abs(raw.image.astype(int) - frames[raw.index]).mean()
        other = np.abs(raw.image.astype(int) - frames[(raw.index + 2) % 6]).mean()
        assert own < 8 < other


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_metadata_is_obeyed(tmp_path: Path, turns: int) -> None:
    import av

    upright = texture(64, 96, 3)
    stored = np.rot90(upright, -turns)
    plain = write_video(tmp_path / "plain.mp4", [np.ascontiguousarray(stored)] * 3)
    turned = tmp_path / "turned.mp4"
    with av.open(str(plain)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    _set_rotation(turned, 90 * turns)
    video = VideoSource(turned, "v", ALL, "fail")
    frame = next(iter(video.frames())).image
    assert frame.shape == upright.shape
    assert np.abs(frame.astype(int) - upright).mean() < 8


def _set_rotation(path: Path, degrees: int) -> None:
    """Write a display matrix that turns by ``degrees`` counter-clockwise into an mp4's track."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    matrix = at + 40  # version 0: after times, ids, layer and volume
    c, s = {90: (0, -1), 180: (-1, 0), 270: (0, 1)}[degrees]
    one = 1 << 16
    values = [c * one, s * one, 0, -s * one, c * one, 0, 0, 0, 1 << 30]
    for k, value in enumerate(values):
        data[matrix + 4 * k : matrix + 4 * k + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)


def test_natural_order_and_hidden_files(tmp_path: Path) -> None:
    for name in ("frame10.png", "frame9.PNG", "frame1.png", ".frame0.png", "notes.txt"):
        Image.fromarray(texture(16, 16)).save(tmp_path / name, "PNG")
    assert [p.name for p in listing(tmp_path)] == ["frame1.png", "frame9.PNG", "frame10.png"]


def test_alpha_grey_sixteen_bits_and_exif_become_upright_rgb(tmp_path: Path) -> None:
    clear = Image.fromarray(np.dstack([texture(8, 8), np.zeros((8, 8), np.uint8)]))
    assert (upright_rgb(clear, "white") == 255).all() and (upright_rgb(clear, "black") == 0).all()
    grey = upright_rgb(Image.fromarray(np.full((4, 4), 77, np.uint8)), "black")
    assert grey.shape == (4, 4, 3) and (grey == 77).all()
    deep = upright_rgb(Image.fromarray(np.full((4, 4), 65535, np.uint16)), "black")
    assert (deep == 255).all()
    picture = Image.fromarray(texture(10, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as image:
        assert upright_rgb(image, "black").shape == (20, 10, 3)


def test_identity_follows_content_not_place(tmp_path: Path) -> None:
    frames = sliding(3, 32, 48)
    a = FramesSource(write_frames(tmp_path / "a", frames), "a", ALL, "fail", "black", 24.0)
    b = FramesSource(write_frames(tmp_path / "b", frames), "b", ALL, "fail", "black", 24.0)
    c = FramesSource(write_frames(tmp_path / "c", frames[::-1]), "c", ALL, "fail", "black", 24.0)
    assert a.identity() == b.identity() != c.identity()


def test_two_frames_with_one_name(tmp_path: Path) -> None:
    write_frames(tmp_path, sliding(2, 32, 48))
    write_frames(tmp_path, sliding(2, 32, 48), ".jpg")
    with pytest.raises(UserError, match="two frames with one name"):
        FramesSource(tmp_path, "a", ALL, "fail", "black", 24.0).probe()


def with_late_exif(png: bytes) -> bytes:
    """The same PNG with its eXIf chunk behind the pixels, where the format allows it, too."""
    chunks, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        chunks.append(png[at : at + 12 + length])
        at += 12 + length
    exif = [chunk for chunk in chunks if chunk[4:8] == b"eXIf"]
    assert exif
    others = [chunk for chunk in chunks if chunk not in exif]
    return png[:8] + b"".join([*others[:-1], *exif, others[-1]])


def test_orientation_is_known_without_decoding_a_png(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import ImageFile

    from dynprep.scene.image_files import UnreadableImage, opened, orientation

    picture = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "plain.png")
    picture.save(tmp_path / "turned.png", exif=exif)
    (tmp_path / "late.png").write_bytes(with_late_exif((tmp_path / "turned.png").read_bytes()))
    whole = (tmp_path / "plain.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:40])
    (tmp_path / "endless.png").write_bytes(
        whole[:-12]
    )  # all but its last chunk, which holds nothing
    decoded = []
    usual = ImageFile.ImageFile.load

    def load(image: ImageFile.ImageFile) -> object:
        decoded.append(image.filename)
        return usual(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    found = {}
    for name in ("plain", "turned", "late"):
        with opened(tmp_path / f"{name}.png") as image:
            found[name] = orientation(image)
            if name != "late":
                assert not decoded
            assert np.asarray(image).shape == (40, 60, 3)  # it can be decoded afterwards
            decoded.clear()
    assert found == {"plain": 1, "turned": 6, "late": 6}
    with opened(tmp_path / "endless.png") as image:
        assert orientation(image) == 1 and np.asarray(image).shape == (40, 60, 3)
    with pytest.raises(UnreadableImage, match=r"cut.png: not a complete PNG"):
        with opened(tmp_path / "cut.png") as image:
            orientation(image)
