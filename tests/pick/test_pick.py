"""``dynprep pick``: the page is driven in a browser, its server is asked for what it must not give."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from dynprep.errors import UserError
from dynprep.pick.clip import Clip
from dynprep.pick.session import Progress, Session
from dynprep.pick.work import Work
from tests.browser import opened
from tests.conftest import ROOT, RunHere, write_frames

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

SIZE = (96, 160)
COUNT = 6
BOX = [30, 20, 70, 60]  # around the object on the first frame; it moves by 2 pixels a frame


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A red square before a grey, textured wall."""
    rng = np.random.default_rng(5)
    wall = rng.integers(60, 140, (*SIZE, 1)).repeat(3, 2).astype(np.uint8)
    fur = rng.integers(0, 50, (30, 30, 3)).astype(np.uint8) + np.array([200, 0, 0], np.uint8)
    pictures = []
    for k in range(COUNT):
        picture = wall.copy()
        picture[25:55, 35 + 2 * k : 65 + 2 * k] = fur
        pictures.append(picture)
    return write_frames(tmp_path / "square", pictures)


def entry(frame: int = 0, **marks: Any) -> Any:
    return {"object": 1, "frame": frame, **marks}


class Served:
    """A server in this process, and requests to it."""

    def __init__(self, session: Session, work: Work) -> None:
        from dynprep.pick.server import Server

        self.session, self.work, self.server = session, work, Server(session, work, 0)
        self.server.start()
        self.doing = threading.Thread(target=work.do, args=(lambda: True,), daemon=True)
        self.doing.start()

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(self.server.address + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post(self, path: str, entries: Any) -> tuple[int, bytes]:
        return self.ask(path, json.dumps(entries).encode())

    def close(self) -> None:
        self.work.is_over = True
        self.doing.join()
        self.server.stop()


@pytest.fixture
def served(frames: Path, tmp_path: Path) -> Iterator[Served]:
    progress, work = Progress(), Work()
    own = ["data=frames", f"data.path={frames}", "data.name=square", "masks=propagate"]
    places = [f"dataset_dir={tmp_path / 'out'}", f"store_dir={tmp_path / 'store'}"]
    clip = Clip([*own, *places], lambda line: None, progress.watch)
    served = Served(Session(clip, tmp_path / "prompts.yaml", own, progress), work)
    yield served
    served.close()


def ids(png: bytes, folder: Path) -> np.ndarray:
    (file := folder / "answer.png").write_bytes(png)
    return np.asarray(Image.open(file))


def test_marks_are_shown_followed_and_saved(served: Served, tmp_path: Path) -> None:
    status, page = served.ask("")
    assert status == 200 and b"dynprep pick" in page
    clip = json.loads(served.ask("clip.json")[1])
    assert (clip["name"], clip["frames"], clip["width"], clip["height"]) == (
        "square",
        COUNT,
        160,
        96,
    )
    assert np.asarray(Image.open(served.session.clip.image_file(2))).shape == (*SIZE, 3)
    status, frame = served.ask("frames/2")
    assert status == 200 and frame == served.session.clip.image_file(2).read_bytes()

    status, png = served.post("mark", [entry(box=BOX)])
    shown = ids(png, tmp_path)
    assert status == 200 and shown.shape == SIZE
    assert (shown[30:50, 40:60] == 1).all() and not shown[:15].any() and not shown[:, 90:].any()

    assert served.ask("masks/0")[0] == 404  # nothing is followed yet
    assert served.post("follow", [entry(box=BOX)])[0] == 200
    while (progress := json.loads(served.ask("progress.json")[1]))["state"] == "running":
        time.sleep(0.05)
    assert progress["state"] == "done", progress
    last = ids(served.ask(f"masks/{COUNT - 1}")[1], tmp_path)
    left = 35 + 2 * (COUNT - 1)
    assert (last[30:50, left + 5 : left + 25] == 1).mean() > 0.9 and not last[:, : left - 10].any()
    assert not (tmp_path / "prompts.yaml").exists()  # following saves nothing

    status, answer = served.post("save", [entry(box=BOX, points=[[50, 40, 1], [10, 10, 0]])])
    command = json.loads(answer)["command"]
    assert status == 200 and command.endswith(f"masks.prompts={tmp_path / 'prompts.yaml'}")
    (saved,) = yaml.safe_load((tmp_path / "prompts.yaml").read_text())["square"]
    assert saved == entry(box=BOX, points=[[50, 40, 1], [10, 10, 0]])


def test_what_is_in_the_file_already_stays(served: Served, tmp_path: Path) -> None:
    other = {"dog": [entry(points=[[1, 2, 1]])]}
    served.session.file.write_text(yaml.safe_dump(other))
    assert served.post("save", [entry(box=BOX)])[0] == 200
    saved = yaml.safe_load(served.session.file.read_text())
    assert saved == {**other, "square": [entry(box=BOX)]}
    again = Session(served.session.clip, served.session.file, [], Progress())
    assert again.saved == [entry(box=BOX)]


def test_a_mask_that_was_drawn_is_followed_from_its_place(served: Served, tmp_path: Path) -> None:
    drawn = np.zeros(SIZE, np.uint8)
    drawn[25:55, 35:65] = 255
    Image.fromarray(drawn).save(tmp_path / "drawn.png")
    served.session.follow([entry(mask="drawn.png")])
    assert (served.session.clip.followed(0)[25:55, 35:65] == 1).mean() > 0.95


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([entry(frame=COUNT, box=BOX)], "frame 6 is not there"),
        ([entry(points=[[500, 5, 1]])], "lies outside of the images"),
        ([entry(points=[[5, 5, 0]])], "no point inside it"),
        ([entry(box=BOX), entry(frame=1, box=BOX)], "one frame's marks"),
        ([entry()], "marks nothing"),
        ([], "marks nothing"),
        ([entry(mask="../../etc/passwd")], "there is no file"),
        ({"object": 1}, "is not a list of entries with object, frame"),
        ([{"object": "1", "box": BOX}], "object"),
    ],
)
def test_marks_that_cannot_be_are_refused_in_a_line(
    served: Served, entries: Any, said: str, tmp_path: Path
) -> None:
    status, answer = served.post("mark", entries)
    assert status == 400 and said in answer.decode() and b"\n" not in answer
    if not (isinstance(entries, list) and len(entries) == 2):
        assert served.post("save", entries)[0] == 400
    assert not (tmp_path / "prompts.yaml").exists()


def test_nothing_else_of_the_machine_is_in_reach(served: Served, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    for path in ("frames/6", "frames/-1", "frames/..%2F..%2Fsecret.txt", "../clip.json", "masks/99",
                 "frames/%2Fetc%2Fpasswd", "static/../secret.txt", "docs", "openapi.json"):  # fmt: skip
        assert served.ask(path)[0] == 404, path
    host = f"127.0.0.1:{served.server.port}"
    for address in (
        f"http://{host}/",
        f"http://{host}/wrong/clip.json",
        f"http://{host}/clip.json",
    ):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address, timeout=10)
    # a page of somebody else's whose name points to this machine
    assert served.ask("clip.json", Host="evil.example")[0] == 400
    assert served.ask("mark", b"[" * 2_000_000)[0] == 413
    assert served.ask("mark", b"[" * 100_000)[0] == 400
    assert served.ask("mark", b"\xff\xfe")[0] == 400
    assert served.ask("save")[0] == 405
    assert len(served.server.address.split("/")[3]) >= 32


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.mp4"], "there is no nothing.mp4"),
        (["{frames}", "masks=motion"], "takes no prompts"),
        (["{frames}", "masks.points=[[1,1,1]]", "masks=propagate"], "leave them out"),
        (["{frames}", "data=demo"], "the clip is named without it"),
        (["{frames}", "--fast"], "--fast is no option"),
        (["{frames}", "--save", "nowhere/prompts.yaml"], "its folder does not exist"),
        (["{frames}", "--port", "70000"], "0 to 65535"),
    ],
)
def test_a_wrong_command_is_one_line(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    from dynprep.commands.pick import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(said)):
        main([argument.format(frames=frames) for argument in arguments])


_SHOWN = "document.body.dataset.shown"


def mark_in_browser(address: str, profile: Path) -> str:
    """Mark the square by a box and points, follow it, save; returns the command that the page gives."""
    with opened(address, profile) as page:
        page.wait(_SHOWN)
        scale = page.run("return canvas.clientWidth / canvas.width")

        def at(x: float, y: float) -> tuple[float, float]:
            return (x + 0.5) * scale, (y + 0.5) * scale

        def pixel(x: int, y: int) -> list[int]:
            return page.run(f"return [...pen.getImageData({x}, {y}, 1, 1).data]")

        before = pixel(44, 34)
        page.drag("picture", at(*BOX[:2]), at(*BOX[2:]))
        page.wait(_SHOWN)
        assert pixel(44, 34) != before  # the object is tinted
        page.click_at("picture", *at(120, 80), right=True)
        page.click_at("picture", *at(50, 40))
        page.click_at("picture", *at(5, 5))
        page.keys("z")  # the last click is taken back
        page.wait(_SHOWN)
        (marks,) = page.run("return marks")
        assert np.abs(np.array(marks["box"]) - BOX).max() < 1
        assert np.abs(np.array(marks["points"]) - [[120, 80, 0], [50, 40, 1]]).max() < 1

        page.keys("n")
        assert "object 2" in page.text("objects") and "not marked yet" in page.text("objects")
        page.click("follow")
        page.wait("$('state').textContent.startsWith('followed')")
        page.run(f"go({COUNT - 1})")
        page.wait(_SHOWN)
        tinted, wall = pixel(60, 40), pixel(150, 90)
        page.run("pen.drawImage(picture, 0, 0)")
        assert pixel(60, 40) != tinted and pixel(150, 90) == wall
        page.click("save")
        page.wait("$('command').textContent")
        command = page.text("command")
        page.click("end")
        page.wait("$('message').textContent.startsWith('Ended')")
        assert not page.problems()
        return command


@pytest.mark.slow
def test_a_clip_is_marked_in_the_browser_and_run(
    frames: Path, tmp_path: Path, run_here: RunHere
) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "pick", str(frames), "data.name=square"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next(m for line in process.stdout if (m := re.match(r"open +(http\S+)", line)))
        words = mark_in_browser(address.group(1), tmp_path / "profile").split()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
    assert words[0] == "dynprep" and words[-1] == "masks.prompts=prompts.yaml"
    out = run_here(*words[1:-1], f"masks.prompts={tmp_path / 'prompts.yaml'}", "stages=[masks]")
    masks = sorted((out / "dataset" / "square" / "masks").glob("*.png"))
    assert len(masks) == COUNT
    for number, path in enumerate(masks):
        mask = np.asarray(Image.open(path)) > 0
        left = 35 + 2 * number
        assert mask[28:52, left + 3 : left + 27].mean() > 0.9 and mask.mean() < 0.2
