"""The page of a run in headless Chromium: what is seen is what was computed, and every control does what it says."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynprep.artefacts.drawing import coloured
from tests.browser import Page, opened
from tests.conftest import SMALL, RunHere, runner

AT = 5  # a frame that is not the first
SPOT = (0.3, 0.6)  # shares of width and height


@pytest.fixture(scope="module")
def made(made_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a page; all that it shows is in the store already."""
    root = tmp_path_factory.mktemp("page")
    shutil.copytree(
        made_small, root / "store", ignore=shutil.ignore_patterns("references", "locks")
    )
    return runner(root)(
        *SMALL,
        "report.page=true",
        "report.points=3000",
        "normals=from_depth",
        "points.mask_erosion=0",
    )


@pytest.fixture(scope="module")
def page(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, opened once; each test puts it back as it was."""
    with opened((made / "report.html").as_uri(), tmp_path_factory.mktemp("profile")) as page:
        page.wait("dynprep.scenes[0].player.drawn === 0 && dynprep.scenes[0].space.drawn > 0")
        yield page
        assert page.problems() == []


def show(page: Page, frame: int = AT) -> None:
    page.run(f"dynprep.scenes[0].clock.to({frame})")
    page.wait(f"dynprep.scenes[0].player.drawn === {frame}")


def data_of(folder: Path, part: str) -> Any:
    (text,) = re.findall(
        rf'id="scene-{part}">(.*?)</script>', (folder / "report.html").read_text(), re.DOTALL
    )
    return json.loads(text)


def layer(name: str) -> str:
    """The script's expression for a layer."""
    return f"dynprep.scenes[0].player.layers.find(l => l.group === '{name}')"


def canvas(name: str) -> str:
    """The script's expression for the canvas that shows a layer."""
    return f"dynprep.scenes[0].player.figures.find(f => f.layers[0].group === '{name}').canvas"


def pixel(page: Page, name: str, spot: tuple[float, float] = SPOT) -> list[int]:
    return page.run(
        f"const c = {canvas(name)}; return [...c.getContext('2d').getImageData(Math.floor({spot[0]} * c.width), "
        f"Math.floor({spot[1]} * c.height), 1, 1).data].slice(0, 3)"
    )


def point_at(page: Page, spot: tuple[float, float] = SPOT) -> None:
    page.run(f"const p = dynprep.scenes[0].player; p.cursor = [{spot[0]}, {spot[1]}]; p.draw()")


def read_out(page: Page, name: str) -> str:
    return page.run(
        f"return dynprep.scenes[0].player.figures.find(f => f.layers[0].group === '{name}').reads[0].textContent"
    )


def test_it_needs_nothing_else(made: Path, page: Page) -> None:
    text = (made / "report.html").read_text()
    assert set(re.findall(r"""(?:src|href)=["']([^"']+)""", text)) == {"data:,", "dataset/demo/"}
    assert (made / "dataset" / "demo").is_dir()
    asked = page.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith(("data:", "blob:")) for name in asked)
    size = (made / "report.html").stat().st_size / 1e6
    assert f"This page takes {size:.1f} MB" in text


def test_the_first_screen(made: Path, page: Page) -> None:
    top = page.run(
        "return [...document.querySelectorAll('.figure, .verdict, .command, .space')].map(e => [e.className, "
        "e.getBoundingClientRect().top + scrollY, e.innerText])"
    )
    assert sum(name == "figure" for name, *_ in top) == 5
    assert all(y < 900 for _, y, _ in top)
    figures = [text for name, _, text in top if name == "figure"]
    assert all(
        re.search(r"[↑↓]\n[\d.]+ (%|px)\n(good|fair|poor): (above|below)", f) for f in figures
    )
    masks = next(f for f in figures if "masks" in f)
    scores = json.loads((made / "scores.json").read_text())["demo"]
    assert f"{100 * scores['masks/J']:.3g} %" in masks
    (command,) = (text for name, _, text in top if name == "command")
    assert command.startswith("dynprep")


def test_pixels_are_the_datasets_values_in_colours(made: Path, page: Page) -> None:
    show(page)
    values = np.load(made / "dataset" / "demo" / "unidepth_disp" / f"{AT:05}.npy")
    data = data_of(made, "player")
    meta = next(g for g in data["groups"] if g["name"] == "metric_depth")["panels"][0]
    at = values[int(SPOT[1] * values.shape[0]), int(SPOT[0] * values.shape[1])]
    expected = coloured(np.full((1, 1), at, np.float32), *meta["span"])[0, 0]
    # levels are a 254th of the range apart, and the canvas smooths between pixels
    assert np.abs(np.array(pixel(page, "metric_depth")) - expected).max() <= 16
    point_at(page)
    said = read_out(page, "metric_depth")
    value, depth = re.fullmatch(r"([\d.]+) 1/m = ([\d.]+) m", said).groups()
    step = (meta["levels"][1] - meta["levels"][0]) / 254
    assert abs(float(value) - at) <= step and abs(float(depth) * float(value) - 1) < 0.01
    assert page.run("return document.querySelector('.where').textContent") == "pixel 48, 57"
    assert re.fullmatch(r"RGB \d+ \d+ \d+", read_out(page, "images"))
    assert read_out(page, "masks") == "background"
    normal = np.load(made / "dataset" / "demo" / "normals" / f"{AT:05}.npy")[57, 48]
    read = np.array([float(n.split()[1]) for n in read_out(page, "normals").split(", ")])
    assert np.abs(normal - read).max() < 0.02  # a colour has 256 levels


def test_masks_are_tinted_on_objects_alone(made: Path, page: Page) -> None:
    from PIL import Image

    show(page)
    mask = np.asarray(Image.open(made / "dataset" / "demo" / "masks" / f"{AT:05}.png")) > 0
    ys, xs = np.nonzero(mask)
    middle = np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2)
    spot = ((xs[middle] + 0.5) / mask.shape[1], (ys[middle] + 0.5) / mask.shape[0])
    point_at(page, spot)
    assert read_out(page, "masks").startswith("object ")
    page.run("const p = dynprep.scenes[0].player; p.cursor = null; p.draw()")
    assert pixel(page, "masks", spot) != pixel(page, "images", spot)
    assert pixel(page, "masks", (0.02, 0.05)) == pixel(page, "images", (0.02, 0.05))


def test_the_slider_and_the_keys_move_all_layers(page: Page) -> None:
    show(page, 0)
    before = page.run(f"return {canvas('images')}.toDataURL()")
    page.run(
        "const s = document.querySelector('.player input[type=range]'); s.value = 6;"
        "s.dispatchEvent(new Event('input'))"
    )
    page.wait("dynprep.scenes[0].player.drawn === 6")
    assert page.run(f"return {canvas('images')}.toDataURL()") != before
    assert page.run("return document.querySelector('.player .at').textContent") == "frame 00006"
    from selenium.webdriver.common.keys import Keys

    for keys, frame in ((Keys.ARROW_RIGHT, 7), (Keys.HOME, 0), (Keys.END, 7), (Keys.ARROW_LEFT, 6)):
        page.run("document.activeElement.blur()")
        page.keys(keys)
        page.wait(f"dynprep.scenes[0].player.drawn === {frame}")
    page.keys(" ")
    page.wait("dynprep.scenes[0].clock.plays && dynprep.scenes[0].player.drawn !== 6")
    page.keys(" ")
    assert not page.run("return dynprep.scenes[0].clock.plays")


def test_layers_are_switched_off_and_laid_over_each_other(page: Page) -> None:
    count = "document.querySelectorAll('.panels figure').length"
    every = page.run(f"return {count}")
    assert every == 9
    page.run("document.querySelector('.chips [data-group=tracks]').click()")
    page.wait(f"{count} === {every - 1}")
    page.run("document.querySelector('.chips [data-group=tracks]').click()")
    show(page)
    frames, depth = pixel(page, "images"), pixel(page, "depth")
    page.run(
        "document.querySelector('.over').click(); const t = document.querySelector('select.top');"
        f"t.value = dynprep.scenes[0].player.layers.indexOf({layer('depth')}); t.onchange()"
    )
    page.wait(f"{count} === 1 && dynprep.scenes[0].player.layers[0].frame")
    for opacity, expected in ((0, frames), (1, depth), (0.5, (np.add(frames, depth) / 2).tolist())):
        page.run(
            f"const o = document.querySelector('.opacity'); o.value = {opacity}; o.dispatchEvent(new Event('input'))"
        )
        assert np.abs(np.subtract(pixel(page, "images"), expected)).max() <= 24, (
            opacity
        )  # drawn larger
    page.run("document.querySelector('.side').click()")
    page.wait(f"{count} === {every}")


def test_zoom_is_shared_and_shows_the_part_under_the_cursor(page: Page) -> None:
    show(page)
    spot_before = pixel(page, "metric_depth")
    page.run(f"dynprep.scenes[0].player.zoomBy(4, {SPOT[0]}, {SPOT[1]})")
    views = page.run("return dynprep.scenes[0].player.view")
    assert views["zoom"] == 4
    assert np.abs(np.subtract(pixel(page, "metric_depth"), spot_before)).max() <= 16
    page.run("document.querySelector('.reset').click()")
    assert page.run("return dynprep.scenes[0].player.view.zoom") == 1


def test_colours_of_each_frame_have_their_own_range(page: Page) -> None:
    show(page)
    shown = "[...document.querySelectorAll('.scale')].map(e => e.innerText)"
    clip = page.run(f"return {shown}")
    page.run("document.querySelector('button.range').click()")
    page.wait(
        f"JSON.stringify({shown}) !== {json.dumps(json.dumps(clip, separators=(',', ':'), ensure_ascii=False))}"
    )
    page.run("document.querySelector('button.range').click()")
    page.wait(
        f"JSON.stringify({shown}) === {json.dumps(json.dumps(clip, separators=(',', ':'), ensure_ascii=False))}"
    )


def test_a_row_over_time_holds_that_row_of_every_frame(made: Path, page: Page) -> None:
    page.run("document.querySelector('button.slices').click()")
    page.run(
        "const r = document.querySelector('input.row'); r.value = 0.6; r.dispatchEvent(new Event('input'))"
    )
    page.wait("dynprep.scenes[0].player.sliced === 0.6")
    figure = "dynprep.scenes[0].player.figures.find(f => f.layers[0].group === 'metric_depth')"
    size = page.run(f"const s = {figure}.strip; return [s.width, s.height]")
    assert size == [8, 160]  # frames to the right, the row's pixels downwards
    meta = next(g for g in data_of(made, "player")["groups"] if g["name"] == "metric_depth")[
        "panels"
    ][0]
    for frame, x in ((0, 20), (5, 48), (7, 150)):
        values = np.load(made / "dataset" / "demo" / "unidepth_disp" / f"{frame:05}.npy")
        expected = coloured(values[57:58, x : x + 1], *meta["span"])[0, 0]
        got = page.run(
            f"return [...{figure}.strip.getContext('2d').getImageData({frame}, {x}, 1, 1).data].slice(0, 3)"
        )
        assert np.abs(np.subtract(got, expected.astype(int))).max() <= 12
    page.run("document.querySelector('button.slices').click()")
    page.wait("document.querySelectorAll('canvas.slice').length === 0")


def test_a_click_on_a_curve_shows_that_frame(made: Path, page: Page) -> None:
    titles = page.run(
        "return [...document.querySelectorAll('.charts figcaption')].map(e => e.innerText)"
    )
    for word in (
        "Mask coverage",
        "Metric disparity",
        "Alignment: scale",
        "Alignment: inliers",
        "Parallax",
        "still seen",
    ):
        assert any(word in title for title in titles), word
    show(page, 0)
    page.run(
        "const s = document.querySelector('.charts svg'), b = s.getBoundingClientRect();"
        "s.dispatchEvent(new MouseEvent('click', {clientX: b.right - 2, clientY: b.top + 20}))"
    )
    page.wait("dynprep.scenes[0].player.drawn === 7")
    coverage = next(c for c in data_of(made, "charts") if c["title"] == "Mask coverage")
    assert any(f"{coverage['lines']['on objects'][7]:.3g}" in t for t in page.run(
        "return [...document.querySelectorAll('.charts figcaption')].map(e => e.innerText)"))  # fmt: skip


def test_the_view_in_3d_turns_and_shows_what_is_there(made: Path, page: Page) -> None:
    space = data_of(made, "space")
    assert space["unit"] == "m" and len(space["cameras"]) == 8
    page.run("document.querySelector('.space canvas').id = 'room'; scrollTo(0, 0)")
    lit = (
        "const c = document.createElement('canvas'), s = document.getElementById('room');"
        "c.width = 200; c.height = 100;"
        "const p = c.getContext('2d'); p.drawImage(s, 0, 0, 200, 100);"
        "const d = p.getImageData(0, 0, 200, 100).data; let n = 0;"
        "for (let k = 0; k < d.length; k += 4) if (d[k] + d[k + 1] + d[k + 2] > 120) n++; return n"
    )
    start = page.run(lit)
    assert start > 300
    picture = "document.getElementById('room').toDataURL()"
    # from where everything is in view
    page.run(f"window.whole = {picture}")
    for part in ("static", "moving", "trails", "cameras"):
        page.run(f"document.querySelector('.space .{part}').click()")
        page.wait(f"{picture} !== window.whole")
        page.run(f"document.querySelector('.space .{part}').click()")
        page.wait(f"{picture} === window.whole")
    before = page.run(
        f"window.before = {picture}; return dynprep.scenes[0].space.eye.position.toArray()"
    )
    page.drag("room", (300, 150), (420, 190))
    page.wait(f"{picture} !== window.before")
    assert (
        np.abs(
            np.subtract(page.run("return dynprep.scenes[0].space.eye.position.toArray()"), before)
        ).max()
        > 0.01
    )
    page.run(f"window.whole = {picture}")
    assert re.fullmatch(
        r"[125]0*(\.\d+)? m|0\.\d+ m",
        page.run("return document.querySelector('.measure').textContent"),
    )
    # through the camera the points lie where the frame shows them: its picture is like the frame
    show(page)
    page.run("document.querySelector('.follow').click()")
    eye = page.run("return dynprep.scenes[0].space.eye.position.toArray()")
    pose = space["cameras"][AT]
    assert np.allclose(eye, [pose[0][3], -pose[1][3], -pose[2][3]], atol=1e-3)
    page.run(
        "document.querySelector('.space .cameras').click(); document.querySelector('.space .trails').click()"
    )
    page.wait(f"{picture} !== window.whole")
    apart = page.run(
        _APART + f"return [apart({canvas('images')}, false), apart({canvas('images')}, true)]"
    )
    assert apart[0] < 0.7 * apart[1], apart  # than to the frame turned over
    for part in ("cameras", "trails"):
        page.run(f"document.querySelector('.space .{part}').click()")
    page.run("document.querySelector('.follow').click()")


# mean difference of the colours of lit pixels of the view in 3D, which is as high as the frame, and of the frame
_APART = """
const room = document.getElementById('room');
const apart = (frame, mirrored) => {
  const tall = 200, wide = Math.round(tall * room.width / room.height), copy = document.createElement('canvas');
  copy.width = wide; copy.height = tall;
  const pen = copy.getContext('2d', {willReadFrequently: true});
  pen.imageSmoothingEnabled = false;
  pen.drawImage(room, 0, 0, wide, tall);
  const drawn = pen.getImageData(0, 0, wide, tall).data;
  pen.clearRect(0, 0, wide, tall);
  const across = tall * frame.width / frame.height;
  if (mirrored) { pen.translate(wide, 0); pen.scale(-1, 1); }
  pen.drawImage(frame, (wide - across) / 2, 0, across, tall);
  const seen = pen.getImageData(0, 0, wide, tall).data;
  let sum = 0, count = 0;
  for (let k = 0; k < drawn.length; k += 4) {
    if (drawn[k] + drawn[k + 1] + drawn[k + 2] < 120 || seen[k + 3] < 255) continue;
    for (let c = 0; c < 3; c++) sum += Math.abs(drawn[k + c] - seen[k + c]);
    count += 3;
  }
  return sum / Math.max(count, 1);
};
"""


def test_light_and_dark(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.run(f"return {ground}")
    page.click("theme")
    after = page.run(f"return {ground}")
    page.click("theme")
    assert after != before and page.run(f"return {ground}") == before


def test_it_fits_400_pixels(page: Page) -> None:
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        page.wait("innerWidth === 400 && document.documentElement.scrollWidth === 400")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_several_scenes_have_a_list_and_a_page_each(run_here: RunHere, tmp_path: Path) -> None:
    from tests.conftest import sliding, write_frames

    write_frames(tmp_path / "clips" / "b#2", sliding(3, 48, 64))
    frames = list(sliding(6, 48, 64))
    write_frames(
        tmp_path / "clips" / "first clip", [*frames[:3], *(255 - f[::-1] for f in frames[3:])]
    )  # a cut
    out = run_here("data=frames", f"data.path={tmp_path / 'clips'}", "stages=[masks]", "report.page=true",
                   "report.width=48")  # fmt: skip
    text = (out / "report.html").read_text()
    links = re.findall(r'<a href="(report/[^"]+)"', text)
    assert links == ["report/b%232.html", "report/first%20clip.html"]
    lines = json.loads((out / "verdict.json").read_text())
    assert lines["first clip"]["findings"] and "found nothing wrong" not in text
    assert re.search(r"first clip.*is a cut|first clip.*cut", text, re.DOTALL)
    with opened((out / "report.html").as_uri(), tmp_path / "profile") as page:
        page.run("document.querySelectorAll('.scenes a')[1].click()")
        page.wait("window.dynprep && dynprep.scenes[0].player.drawn === 0")
        assert page.run("return document.title") == "dynprep: first clip"
        assert page.problems() == []
