"""The configuration: complete, commented, checked."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dynprep.config.build import settings
from dynprep.config.typed import fits
from tests.conftest import ROOT, composed

CONF = ROOT / "conf"
FILES = sorted(p for p in CONF.rglob("*.yaml") if "hydra" not in p.parts)
GROUPS = {
    "data": {"demo", "video", "frames"},
    "resolution": {"native", "480p", "720p", "1080p"},
    "masks": {"motion", "folder", "none"},
    "metric_depth": {"sensor", "parallax"},
    "depth": {"parallax"},
    "alignment": {"median", "lstsq", "huber", "sequence"},
    "prior": {"aligned", "none"},
    "flow": {"dis"},
    "layout": {"adagar"},
    "trainer": {"cpu", "gpu", "mps", "auto", "ddp", "ddp_cpu"},
    "logger": {"wandb", "csv", "none"},
    "experiment": {"offline"},
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_is_there(group: str) -> None:
    assert GROUPS[group] <= {p.stem for p in (CONF / group).glob("*.yaml")}


@pytest.mark.parametrize(
    "override",
    [f"{g}={c}" for g in GROUPS for c in sorted(GROUPS[g]) if g not in ("data", "experiment")],
)
def test_every_choice_builds(override: str) -> None:
    config, choices = composed(["dataset_dir=x", "store_dir=y", override])
    chosen = settings(config, choices)
    group, choice = override.split("=")
    assert chosen.backends.get(group, choice) == choice


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CONF)))
def test_every_option_has_a_comment(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert path.parent == CONF or lines[0].startswith("#")
    bare = []
    for line in lines:
        option = re.match(r"\s*([a-z_]+): *\S", line)
        hidden = option and option.group(1) in (
            "_target_",
            "defaults",
            "dir",
            "subdir",
            "chdir",
            "root",
        )
        if option and not hidden and "#" not in line and path.parent.name != "layout":
            bare.append(line)
    assert not bare


def test_comments_do_not_hide_values() -> None:
    for path in FILES:
        yaml.safe_load(
            path.read_text().replace("${", "(").replace("}", ")")
            if path.name != "config.yaml"
            else ""
        )


def test_default_of_metric_depth_follows_the_data() -> None:
    for data, expected in (("demo", "sensor"), ("video", "parallax"), ("frames", "parallax")):
        _, choices = composed([f"data={data}", "dataset_dir=x", "store_dir=y"])
        assert choices["metric_depth"] == expected
    _, choices = composed(["data=demo", "metric_depth=parallax", "dataset_dir=x", "store_dir=y"])
    assert choices["metric_depth"] == "parallax"


@pytest.mark.parametrize(
    ("value", "kind", "good"),
    [
        (3, float, True), (True, float, False), (3.0, int, False), (None, int | None, True),
        ([1, 2], list[int], True), ([1, "a"], list[int], False), ("a", str | list[str], True),
        ({"a": 1}, str, False), (True, bool, True), (1, bool, False),
    ],
)  # fmt: skip
def test_types_are_checked(value: object, kind: object, good: bool) -> None:
    assert fits(value, kind) is good


def test_help_is_worth_reading(run_cli: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_cli("--help")
    assert done.returncode == 0
    for word in (
        "data=video data.path=",
        "masks: folder, motion, none",
        "flow.rate",
        "trainer.devices",
        "-m ",
    ):
        assert word in done.stdout, done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
