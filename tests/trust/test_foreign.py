"""Files from outside are data: nothing in them runs, blocks, or ends in a traceback."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dynprep.config.build import settings
from dynprep.errors import UserError, printable
from dynprep.foreign import Malformed, check, read_json, read_limited
from dynprep.record_shape import RecordShape, read_record
from dynprep.scene.array_files import read_numbers
from dynprep.scene.camera_files import intrinsics_rows
from dynprep.scene.image_files import UnreadableImage, opened
from tests.conftest import SMALL, RunHere, composed, sliding, write_frames

Cli = Callable[..., Any]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
SHAPES: list[Any] = [RecordShape, list[float], dict[str, int], str | None, list[RecordShape]]


@given(JSON)
def test_any_value_is_of_a_shape_or_refused_in_one_line(value: Any) -> None:
    for kind in SHAPES:
        try:
            check(value, kind, "file.json")
        except Malformed as error:
            assert "\n" not in str(error).replace("\\n", "") and len(str(error)) < 400


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}', b"\xff\xfe", b"9" * 5000, b'"\\ud800"'],
)  # fmt: skip
def test_json_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(Malformed, match=r"file\.json"):
        read_json(path, dict[str, float])


def test_pipes_and_devices_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    started = time.monotonic()
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Malformed, match="a pipe or a device"):
            read_limited(path, 100)
    with pytest.raises(Malformed, match="is a folder"):
        read_limited(tmp_path, 100)
    (tmp_path / "large").write_bytes(b"x" * 101)
    with pytest.raises(Malformed, match="at most 100"):
        read_limited(tmp_path / "large", 100)
    assert time.monotonic() - started < 2


def test_a_pipe_as_video_or_camera_is_refused(run_here: RunHere, tmp_path: Path) -> None:
    pipe = tmp_path / "clip.mp4"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match=r"clip\.mp4: is no file that can be read twice"):
        run_here("data=video", f"data.path={pipe}")
    for path, words in ((pipe, "a pipe or a device"), ("/dev/zero", "a pipe or a device")):
        with pytest.raises(UserError, match=f"camera.file=.*{words}"):
            run_here(*SMALL, f"camera.file={path}")


def test_a_video_is_a_file_whatever_its_name(run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / "real.mp4").write_bytes(b"")
    odd = tmp_path / "concat:real.mp4"
    odd.write_bytes(b"not a video")
    with pytest.raises(UserError, match="not a video that can be read"):
        run_here("data=video", f"data.path='{odd}'", "data.name=x")


def test_no_interpreter_is_started_for_an_image(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    )
    with pytest.raises(UnreadableImage, match="not a complete PNG or JPEG"):
        with opened(tmp_path / "page.png") as image:
            image.load()


def test_a_picture_that_is_a_bomb_is_refused(tmp_path: Path, run_here: RunHere) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    Image.new("1", (20000, 20000)).save(folder / "00000.png")
    with pytest.raises(UserError, match=r"00000\.png: not a complete PNG or JPEG image"):
        run_here("data=frames", f"data.path={folder}")


@given(st.binary(max_size=300))
def test_any_bytes_as_a_picture_or_an_array(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    magic = np.lib.format.magic(1, 0)
    for name, content in (
        ("a.png", data),
        ("b.png", b"\x89PNG\r\n\x1a\n" + data),
        ("c.jpg", b"\xff\xd8" + data),
    ):
        (folder / name).write_bytes(content)
        try:
            with opened(folder / name) as image:
                image.load()
        except UnreadableImage as error:
            assert name in str(error)
    for name, content in (("a.npy", data), ("b.npy", magic + data)):
        (folder / name).write_bytes(content)
        try:
            read_numbers(folder / name)
        except UserError as error:
            assert name in str(error)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4'}",
        "__import__('os').abort()",
    ],
)
def test_headers_that_promise_something_else(header: str, tmp_path: Path) -> None:
    text = header.ljust(118 - 1) + "\n"
    path = tmp_path / "depth.npy"
    path.write_bytes(
        np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 64
    )
    with pytest.raises(UserError, match=r"depth\.npy"):
        read_numbers(path)


@pytest.mark.parametrize(
    ("raw", "rows"),
    [
        ([500, 510, 319.5, 239.5], [[500, 510, 319.5, 239.5]]),
        ([[500, 0, 319.5], [0, 510, 239.5], [0, 0, 1]], [[500, 510, 319.5, 239.5]]),
        ({"fl_x": 500, "fl_y": 510, "cx": 1, "cy": 2, "frames": [{"transform_matrix": []}]}, [[500, 510, 1, 2]]),
        ({"10": [3, 3, 0, 0], "9": [2, 2, 0, 0]}, [[2, 2, 0, 0], [3, 3, 0, 0]]),
    ],
)  # fmt: skip
def test_forms_of_intrinsics(raw: Any, rows: list[list[float]]) -> None:
    assert intrinsics_rows(raw, "camera.json") == rows


@pytest.mark.parametrize(
    "raw",
    [
        [10**400, 1, 1, 1], [1e300, 1, 1, 1], [1e-300, 1, 1, 1], [True, 1, 1, 1], [1, 2, 3], [], {}, None,
        "x", {"a": {"fx": 1}}, [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [0, 1, 1, 1], [-5, 1, 1, 1],
        {"frames": [{"transform_matrix": []}]},
    ],
)  # fmt: skip
def test_intrinsics_that_are_none(raw: Any) -> None:
    with pytest.raises(UserError, match=r"^camera\.json"):
        intrinsics_rows(raw, "camera.json")


def test_a_principal_point_far_outside_is_refused(run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / "k.json").write_text("[150, 150, 4000, 48]")
    with pytest.raises(
        UserError, match="principal point 4000, 48 is far outside of the 160x96 frame"
    ):
        run_here(*SMALL, f"camera.file={tmp_path / 'k.json'}")


def test_a_foreign_record_imports_nothing(tmp_path: Path, run_here: RunHere, run_main: Cli) -> None:
    run = run_here(*SMALL, "stages=[masks]", "masks=none")
    record = json.loads((run / "run.json").read_text())
    record["config"]["depth"]["_target_"] = "antigravity.Depth"
    record["config"]["packages"] = ["antigravity"]
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text(json.dumps(record))
    done = run_main("reproduce", "foreign")
    assert done.returncode == 1
    assert "depth._target_=antigravity.Depth: is not of dynprep" in done.stderr
    import sys

    assert "antigravity" not in sys.modules


@given(data=st.data())
def test_records_with_anything_in_them(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, made_record: dict[str, Any]
) -> None:
    record = json.loads(json.dumps(made_record))
    node: Any = record
    for _ in range(data.draw(st.integers(1, 6))):
        if not isinstance(node, dict) or not node:
            break
        name = data.draw(st.sampled_from(sorted(node)))
        if not isinstance(node[name], dict) or data.draw(st.booleans()):
            if data.draw(st.booleans()):
                node[name] = data.draw(JSON)
            else:
                del node[name]
            break
        node = node[name]
    folder = tmp_path_factory.mktemp("record")
    try:
        (folder / "run.json").write_text(json.dumps(record))
    except ValueError:
        return
    try:
        read_record(folder)
    except UserError as error:
        assert "run.json" in str(error)


@pytest.fixture(scope="module")
def made_record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from tests.conftest import runner

    run = runner(tmp_path_factory.mktemp("made"))(*SMALL, "stages=[masks]", "masks=none")
    return json.loads((run / "run.json").read_text())


def test_compare_makes_no_folder_that_a_record_names(
    run_here: RunHere, tmp_path: Path, run_main: Cli
) -> None:
    run = run_here(*SMALL, "stages=[masks]", "masks=none")
    record = json.loads((run / "run.json").read_text())
    record["store"] = str(tmp_path / "elsewhere" / "store")
    (run / "run.json").write_text(json.dumps(record))
    done = run_main("compare", "run")
    assert done.returncode == 1 and "no store of dynprep" in done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_no_pickle_by_hydra(run_main: Cli) -> None:
    done = run_main("--experimental-rerun", "job.pickle")
    assert done.returncode == 1 and "may run code" in done.stderr


@pytest.mark.parametrize(
    "target", ["null", "5", "os.system", "subprocess.Popen", "''", "[]", "dynprep.nothing.X"]
)
@pytest.mark.parametrize("node", ["depth", "data", "trainer", "resolution", "layout"])
def test_targets_of_other_packages(node: str, target: str) -> None:
    with pytest.raises(UserError, match=node):
        settings(*composed([*SMALL, "dataset_dir=a", "store_dir=b", f"{node}._target_={target}"]))


@pytest.mark.parametrize(
    "option",
    [
        "resolution.multiple_of=20000", "data.fps=1e9", "seed=-1", "data.count=0", "stages=[]",
        "flow.mask_margin=-1", "flow.mask_margin=1000000000", "motion.odometry.prior=-1",
        "motion.odometry.range_share=0.9", "masks.opening=-1", "masks.opening=100000", "flow.rate=0",
    ],
)  # fmt: skip
def test_options_out_of_proportion(option: str) -> None:
    with pytest.raises(
        UserError, match=option.split("=", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1]
    ):
        settings(*composed([*SMALL, "dataset_dir=a", "store_dir=b", option]))


def test_names_cannot_steer_a_terminal(
    run_here: RunHere, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printable("a\x1b[2Jb\udcff") == "a\\x1b[2Jb\\udcff"
    clip = write_frames(tmp_path / "[bold] $x^$ <!--<script>" / "images", sliding(3, 64, 96))
    out = run_here("data=frames", f"data.path='{clip}'", "flow.rate=16", "report.page=true")
    assert (out / "dataset" / "[bold] $x^$ <!--<script>" / "dynprep.json").is_file()
    page = (out / "report.html").read_text()
    assert "<!--<script>" not in page and "[bold]" in capsys.readouterr().err
