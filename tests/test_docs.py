"""What the documents tell people to do works when it is done literally."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, SMALL


@pytest.mark.slow
def test_adding_a_backend_as_contributing_says(tmp_path: Path) -> None:
    for name in ("dynprep", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "run.py", tmp_path)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text[text.index("## Add a backend") : text.index("## Rules")]
    for path, block in re.findall(
        r"`((?:dynprep|conf)/\S+)`:\n\n\s*```\w+\n(.*?)```", section, re.S
    ):
        lines = [line.removeprefix("   ") for line in block.splitlines()]
        (tmp_path / path).write_text("\n".join(lines) + "\n")
    assert (tmp_path / "conf" / "depth" / "bright.yaml").is_file()
    done = subprocess.run(
        [sys.executable, "run.py", *SMALL, "depth=bright", "logger=none", "dataset_dir=OUT"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bright" in done.stderr
    assert len(list((tmp_path / "OUT" / "demo" / "depth_anything_v2").iterdir())) == 8


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with the network that the pages name: its architecture, made-up weights."""
    from benchmarks.random_weights import make

    root = tmp_path_factory.mktemp("hub")
    repository = root / "models--depth-anything--Depth-Anything-V2-Small-hf"
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    make("depth/depth_anything_v2_small", snapshot)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("page", ["sweep", "paper", "compare"])
def test_a_page_works_when_it_is_pasted(page: str, tmp_path: Path, hub: Path) -> None:
    for name in ("dynprep", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "run.py", tmp_path)
    # the commands are the page's to the letter; the clip that they run on is shorter
    demo = tmp_path / "conf" / "data" / "demo.yaml"
    demo.write_text(re.sub(r"(?m)^count: \d+", "count: 8", demo.read_text()))
    text = (ROOT / "docs" / f"{page}.md").read_text()
    for path, block in re.findall(r"`(conf/\S+)`:\n\n```yaml\n(.*?)```", text, re.S):
        (tmp_path / path).write_text(block)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_CACHE": str(hub),
        "HF_HUB_OFFLINE": "1",
    }
    commands = [c for b in re.findall(r"```bash\n(.*?)```", text, re.S) for c in b.splitlines()]
    assert len(commands) >= 3
    for command in commands:
        done = subprocess.run(
            command,
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
    assert list((tmp_path / "outputs").glob("*/**/comparison.html"))


def test_options_page_is_current() -> None:
    from dynprep.config import reference

    assert (ROOT / "docs" / "options.md").read_text() == reference.page(), "run make docs"


def test_every_option_has_type_unit_and_effect() -> None:
    from dynprep.config import reference

    for option in reference.every_option():
        assert option.kind and option.effect, option.name
        assert option.unit or "number" not in option.kind, f"{option.name}: no [unit]"


def test_readme_names_what_exists() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"`((?:dynprep|conf)/[\w/.]+\.(?:py|yaml)|run\.py)`", text):
        assert (ROOT / path).is_file(), path
    for group, choices in re.findall(r"^\| `(\w+)` \| (`[^|]*`) \|", text, re.M):
        for choice in re.findall(r"`(\w+)`", choices):
            assert (ROOT / "conf" / group / f"{choice}.yaml").is_file(), f"{group}={choice}"
    for target in re.findall(r"^make (\w+)", text, re.M):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


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


def test_ci_workflow_runs_the_same_script() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert any(step.get("run") == ".ci/run" for step in workflow["jobs"]["test"]["steps"])
