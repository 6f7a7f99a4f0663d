"""What the documents tell people to do works when it is done literally."""

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
    wanted = re.findall(r'^    "([\w-]+)[=>]', (ROOT / "pyproject.toml").read_text(), re.M)
    assert set(wanted) <= names
    assert not names & {"torchvision", "xformers", "timm", "moviepy"}


def test_ci_workflow_runs_the_same_script() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert any(step.get("run") == ".ci/run" for step in workflow["jobs"]["test"]["steps"])
