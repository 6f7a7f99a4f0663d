"""What the documents tell people to do works when it is done literally."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from dynprep.artefacts import Artefact
from dynprep.conf_folder import choices_of, read_choice
from dynprep.config import reference
from dynprep.config.build import settings
from dynprep.config.pages import pages
from tests.conftest import ROOT, SMALL, RunHere, composed, sliding, write_frames, write_video

Main = Callable[..., subprocess.CompletedProcess[str]]

# runs the lines that it reads in one process: each would start Python and import everything anew
_DRIVER = """
import shlex, subprocess, sys
from dynprep.commands import main
for line in sys.stdin.read().splitlines():
    if line.startswith("dynprep "):
        sys.argv = shlex.split(line)
        try:
            status = main()
        except SystemExit as end:
            status = end.code or 0
    else:
        status = subprocess.run(line, shell=True).returncode
    if status:
        sys.exit(f"{line} ended with {status}")
"""


def blocks(text: str, language: str) -> list[str]:
    """Code blocks of a page, without the indent of the list that they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.M | re.S)
    return ["".join(line[len(i) :] or "\n" for line in b.splitlines(True)) for i, b in found]


def files_of(text: str) -> dict[str, str]:
    """Blocks that follow the name of a file, by that name."""
    pattern = r"`((?:dynprep|conf)/\S+?\.(?:py|yaml))`:\n\n( *)```\w+\n(.*?)^\2```"
    found = re.findall(pattern, text, re.M | re.S)
    return {
        path: "".join(line[len(indent) :] or "\n" for line in block.splitlines(True))
        for path, indent, block in found
    }


@pytest.fixture(scope="module")
def contributed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of the code with every recipe of CONTRIBUTING followed, and what a run with them said."""
    root = tmp_path_factory.mktemp("contributed")
    for name in ("dynprep", "conf"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("run.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    files = files_of(text)
    assert len(files) == 7, sorted(files)
    for path, content in files.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(content)
    metric = text[text.index("## Add a metric") : text.index("## Add a layout")]
    (name,) = blocks(metric, "text")
    _, function, scorers = blocks(metric, "python")
    names = root / "dynprep" / "metrics" / "names.py"
    names.write_text(names.read_text().replace("OTHERS = (\n", f"OTHERS = (\n{name}"))
    masks = root / "dynprep" / "artefacts" / "masks.py"
    source = masks.read_text().replace("class ObjectMasks", f"{function}\n\nclass ObjectMasks")
    list_of_scorers = r"    scorers = \((?:[^\n]*\)\n|\n(?:        [^\n]*\n)+    \)\n)"
    source, replaced = re.subn(list_of_scorers, scorers, source)
    assert replaced == 1
    masks.write_text(source)
    arguments = [
        *SMALL, "depth=bright", "+brightness=mean", "layout=flat", "logger=none", "dataset_dir=OUT",
        "report.page=false",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "run.py", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return root, done.stderr


@pytest.mark.thorough
def test_adding_a_backend_as_contributing_says(contributed: tuple[Path, str]) -> None:
    root, said = contributed
    assert re.search(r"^depth +bright ", said, re.M)
    assert len(list((root / "OUT" / "demo" / "relative").iterdir())) == 8


@pytest.mark.slow
def test_adding_a_stage_as_contributing_says(contributed: tuple[Path, str]) -> None:
    grey = np.load(contributed[0] / "OUT" / "demo" / "brightness" / "00003.npy", allow_pickle=False)
    assert grey.shape == (96, 160) and grey.dtype == np.float32 and 0 < grey.mean() < 1


@pytest.mark.slow
def test_adding_a_metric_as_contributing_says(contributed: tuple[Path, str]) -> None:
    root, said = contributed
    (found,) = (root / "outputs").rglob("consistency.json")
    assert 0 <= json.loads(found.read_text())["demo"]["masks/coverage"] <= 1
    assert "masks/coverage" in said


@pytest.mark.slow
def test_adding_a_layout_as_contributing_says(contributed: tuple[Path, str]) -> None:
    names = {p.name for p in (contributed[0] / "OUT" / "demo").iterdir() if p.is_dir()}
    assert {"images", "masks", "metric", "relative", "aligned", "prior", "tracks"} <= names


@pytest.mark.thorough
def test_contributed_code_is_clean(contributed: tuple[Path, str]) -> None:
    new = [p for p in files_of((ROOT / "CONTRIBUTING.md").read_text()) if p.endswith(".py")]
    for tool in (
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy", "--follow-imports=silent"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *tool, *new], cwd=contributed[0],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with the network that the pages name: its architecture, random weights."""
    from benchmarks.random_weights import make

    root = tmp_path_factory.mktemp("hub")
    repository = root / "models--depth-anything--Depth-Anything-V2-Small-hf"
    commit = read_choice(ROOT / "conf" / "depth" / "depth_anything_v2_small.yaml")["revision"]
    snapshot = repository / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    make("depth/depth_anything_v2_small", snapshot)
    return root


def _on_a_small_clip(line: str) -> str:
    """A line of a page as it stands; one that runs the demo, on a smaller clip and without W&B, for time."""
    words = line.split()
    is_run = words[:1] == ["dynprep"] and len(words) > 1 and (words[1] == "-m" or "=" in words[1])
    if not is_run or "data=" in line:
        return line
    smaller = [option for option in SMALL[:4] if option.partition("=")[0] not in line]
    return " ".join([line, *smaller, "logger=none"])


@pytest.mark.thorough
@pytest.mark.parametrize("page", ["sweep", "paper", "compare"])
def test_a_page_works_when_it_is_pasted(page: str, tmp_path: Path, hub: Path) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    for path, block in re.findall(r"`(conf/\S+)`:\n\n```yaml\n(.*?)```", text, re.S):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(block)
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    assert len(lines) >= 3
    lines = [_on_a_small_clip(line) for line in lines]
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER], cwd=tmp_path, input="\n".join(lines), capture_output=True,
        text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((tmp_path / "outputs").glob("*/**/comparison.html"))


@pytest.mark.slow
@pytest.mark.thorough
def test_the_trainers_page_works_on_a_video(
    run_here: RunHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as this project's side goes: every folder that it names is there afterwards."""
    from dynprep.commands.export import main as export

    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "trainers.md").read_text()
    pictures = list(sliding(12, 120, 160))
    for k, picture in enumerate(pictures):
        picture[40:80, 50 + 4 * k : 85 + 4 * k] = (230, 30, 30)
    write_video(tmp_path / "dog.mp4", pictures)
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    assert len(lines) == 11
    for number, line in enumerate(lines):
        words = shlex.split(line, comments=True)
        if words[1] == "export":
            assert export(words[2:]) == 0, line
            continue
        run_here(*words[1:], "store_dir=store", "camera.fov=60", name=f"run{number}")
    named = set(re.findall(r"OUT/[\w/.]*\w", text))
    assert len(named) >= 6
    for name in named:
        assert (tmp_path / name).exists(), name
    assert (tmp_path / "TRAINERS" / "mosca" / "dog" / "cameras").is_dir()
    assert (tmp_path / "OUT" / "ply" / "dog" / "00003.ply").is_file()


PICK = ("data=video", "data.path=dog.mp4", "dataset_dir=out", "store_dir=store")


@pytest.mark.slow
@pytest.mark.thorough
def test_the_masks_page_works_on_a_video(
    run_main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as no published weights are needed: SAM 2 has made-up ones."""
    from benchmarks.random_weights import sam2, sam3
    from dynprep.pick.clip import Clip
    from dynprep.pick.session import Progress

    text = (ROOT / "docs" / "masks.md").read_text()
    pictures = list(sliding(9, 480, 640))
    for k, picture in enumerate(pictures):
        picture[180:300, 270 + 8 * k : 370 + 8 * k] = (230, 30, 30)
    write_video(tmp_path / "dog.mp4", pictures)
    write_frames(tmp_path / "R" / "images", pictures[:2])
    for path in ("ball.png", "R/masks/00000.png", "R/masks/00001.png"):
        ball = np.zeros((480, 640), np.uint8)
        ball[40:90, 40:90] = 255
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.fromarray(ball).save(tmp_path / path)
    (tmp_path / "prompts.yaml").write_text(blocks(text, "yaml")[0])
    sam3_weights = sam3(tmp_path / "sam3")
    weights = [f"masks.checkpoint={sam2(tmp_path / 'sam2')}", "masks.parameters=null"]
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    assert len(lines) == 11
    for line in lines:
        words = shlex.split(line, comments=True)
        extra = weights if "masks=sam2_large" in words else []
        if "masks=sam3" in words:
            extra = [f"masks.checkpoint={sam3_weights}", "masks.parameters=null"]
        if words[1] == "pick":  # tests/pick opens its page
            monkeypatch.chdir(tmp_path)
            chosen = words[3:] or ["masks=propagate"]
            clip = Clip([*PICK, *chosen, *extra], lambda line: None, Progress().watch)
            assert len(clip.frames) == 9
            continue
        done = run_main(*words[1:], *extra, "stages=[masks]", "logger=none", "store_dir=store")
        assert done.returncode == 0, line + done.stderr[-2000:]


@pytest.mark.slow
def test_the_api_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks((ROOT / "docs" / "api.md").read_text(), "python"):
        exec(compile(block, "docs/api.md", "exec"), names)
    assert names["tracks"].shape[1] == 4 and names["disparity"].shape[0] == 4  # type: ignore[attr-defined]


@pytest.mark.thorough
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((ROOT / "examples" / "read_a_dataset.ipynb").read_text())
    monkeypatch.chdir(tmp_path)
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec(compile("".join(cell["source"]), "read_a_dataset.ipynb", "exec"), names)
    assert "scene" in names


@pytest.mark.parametrize("rate", [8, 16])
def test_the_formats_snippet_reads_a_dataset(run_here: RunHere, rate: int) -> None:
    (block,) = [
        b for b in blocks((ROOT / "docs" / "format.md").read_text(), "python") if "scene" in b
    ]
    scene = run_here(*SMALL, f"flow.rate={rate}") / "dataset" / "demo"
    exec(compile(block, "docs/format.md", "exec"), {"scene": scene})


def test_the_glossary_names_what_exists() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| (`[^|]+) \| `(\w+)` \| (`[^|]+) \| ", text, re.M)
    assert len(rows) >= 13
    classes = {cls.__name__: cls for cls in Artefact.registry.values()}
    for groups, stage, names in rows:
        assert stage in Artefact.registry
        assert Artefact.registry[stage].__name__ in re.findall(r"`(\w+)`", names)
        assert set(re.findall(r"`(\w+)`", names)) <= set(classes)
        for group in re.findall(r"`(\w+)", groups):
            assert (ROOT / "conf" / group).is_dir()
    assert {cls.name for cls in classes.values()} == {r[1] for r in rows}


def test_options_that_the_recipes_page_names_exist() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    named = set(re.findall(r"`([a-z_.]+=[a-z0-9_.-]+)`", text))
    assert len(named) >= 12
    folders = ["dataset_dir=OUT", "store_dir=STORE"]
    tracker = ["flow=alltracker", "metric_depth=unidepth_v2_vitl14"]
    for option in sorted(named):
        chosen = [] if "." not in option else tracker
        given = [part for part in chosen if part.partition("=")[0] != option.partition("=")[0]]
        settings(*composed([*given, option, *folders]))


def test_written_pages_are_current() -> None:
    for name, text in pages().items():
        assert (ROOT / "docs" / name).read_text() == text, f"{name}: run make docs"


def test_links_between_pages_lead_somewhere() -> None:
    docs = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
    headings = {
        name: {
            re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-")
            for h in re.findall(r"^#+ (.+)$", text, re.M)
        }
        for name, text in docs.items()
    }
    for name, text in docs.items():
        for target in re.findall(r"\]\((?!http)([^)#]*(?:#[\w-]+)?)\)", text):
            page, _, anchor = target.partition("#")
            assert not page or (ROOT / "docs" / page).is_file(), f"{name}: {target}"
            assert not anchor or anchor in headings[page or name], f"{name}: {target}"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")


def test_the_site_shows_every_page_once() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    shown = [page for entry in site["nav"] for page in _leaves(entry)]
    assert sorted(shown) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def _leaves(entry: object) -> list[str]:
    if isinstance(entry, dict):
        return [page for value in entry.values() for page in _leaves(value)]
    return (
        [page for part in entry for page in _leaves(part)]
        if isinstance(entry, list)
        else [str(entry)]
    )


def test_every_option_has_type_unit_and_effect() -> None:
    for option in reference.every_option():
        assert option.kind and option.effect.strip(), option.name
        assert option.unit or "number" not in option.kind, f"{option.name}: no [unit]"


def test_readme_names_what_exists() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"`((?:dynprep|conf)/[\w/.]+\.(?:py|yaml)|run\.py)`", text):
        assert (ROOT / path).is_file() or path == "conf/experiment/mine.yaml", path
    for path in re.findall(r"\]\(([\w/.]+\.\w+)\)", text):
        assert (ROOT / path).is_file(), path
    for group, choices in re.findall(r"^\| `(\w+)` \| (`[^|]*`) \|", text, re.M):
        for choice in re.findall(r"`(\w+)`", choices):
            assert choice in choices_of(group, [ROOT / "conf"]), f"{group}={choice}"
    for target in re.findall(r"^make (\w+)", text, re.M):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_the_version_stands_in_one_place() -> None:
    from dynprep import __version__

    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert "version" not in re.findall(r"^(\w+) =", (ROOT / "pyproject.toml").read_text(), re.M)


def test_every_locked_version_is_exact_and_the_project_agrees() -> None:
    lock = [
        line
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lock)
    assert "torch==2.13.0" in lock
    names = {line.split("==")[0].lower().replace("_", "-") for line in lock}
    extra = (ROOT / "requirements-tests.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in extra if line[0] != "#")
    extras = {line.split("==")[0].lower().replace("_", "-") for line in extra}
    assert not names & extras
    wanted = re.findall(r'^    "([\w-]+)[=>]', (ROOT / "pyproject.toml").read_text(), re.M)
    assert set(wanted) <= names
    assert not names & {"torchvision", "xformers", "timm", "moviepy"}


def test_ci_workflow_runs_the_same_script_on_every_python_that_is_claimed() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["test"]
    assert any(step.get("run") == ".ci/run" for step in job["steps"])
    claimed = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert job["strategy"]["matrix"]["python"] == claimed
