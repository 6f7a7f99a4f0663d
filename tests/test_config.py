"""The configuration: complete, commented, checked."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dynprep.artefacts.intrinsics import SeenIntrinsics
from dynprep.conf_folder import choices_of, read_choice, shared_parts
from dynprep.config.build import settings
from dynprep.foreign import matches_type
from tests.conftest import ROOT, composed

CONF = ROOT / "conf"
FILES = sorted(p for p in CONF.rglob("*.yaml") if "hydra" not in p.parts)
SIZES = ("small", "base", "large")
# the stage that a group's choices make; others only set options
STAGE = {
    "masks": "masks", "metric_depth": "metric_depth", "depth": "depth", "alignment": "alignment",
    "sky": "sky", "normals": "normals", "prior": "prior", "flow": "tracks", "points": "points", "poses": "cameras",
}  # fmt: skip
GROUPS = {
    "data": {"demo", "video", "frames"},
    "poses": {"parallax", "file", "metric_depth", "none"},
    "resolution": {"native", "480p", "720p", "1080p"},
    "masks": {
        "motion", "folder", "none", "propagate", "sam2_tiny", "sam2_small", "sam2_base_plus", "sam2_large", "sam3",
    },
    "metric_depth": {
        "sensor", "parallax", "depth_pro", "zoedepth", "zoedepth_indoor", "zoedepth_outdoor",
        *(f"unidepth_v2_{v}" for v in ("vits14", "vitb14", "vitl14")),
        *(f"depth_anything_v2_{w}_{s}" for w in ("indoor", "outdoor") for s in SIZES),
        "prompt_depth_anything", "prompt_depth_anything_small",
        *(f"moge_2_{v}" for v in ("vits", "vitb", "vitl")), *(f"video_depth_anything_{s}" for s in SIZES),
        *(f"depth_anything_3_{s}" for s in (*SIZES, "giant", "nested", "metric")),
    },
    "depth": {
        "parallax", "dpt_large", "dpt_hybrid", "midas_beit_large", "marigold", "marigold_lcm",
        "marigold_v1_0", *(f"depth_anything_{v}_{s}" for v in ("v1", "v2") for s in SIZES),
        "depth_anything_3_mono", *(f"video_depth_anything_{s}" for s in SIZES),
    },
    "alignment": {"median", "lstsq", "huber", "sequence"},
    "prior": {"aligned", "none", "marigold", "marigold_lcm", "marigold_v1_0"},
    "flow": {"dis", "alltracker", "alltracker_tiny"},
    "points": {"lifted", "none"},
    "normals": {"from_depth", "marigold", *(f"moge_2_{v}" for v in ("vits", "vitb", "vitl"))},
    "sky": {"none", "seen", "segformer", "segformer_b0"},
    "layout": {
        "adagar", "colmap", "glb", "megasam", "mosca", "nerfies", "ply", "shape_of_motion", "vipe",
    },
    "trainer": {"cpu", "gpu", "mps", "auto", "ddp", "ddp_cpu"},
    "logger": {"wandb", "csv", "none"},
    "experiment": {"offline", "adagar", "shape_of_motion", "fast", "best", "search"},
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_is_there(group: str) -> None:
    assert GROUPS[group] == set(choices_of(group, [CONF]))


@pytest.mark.parametrize(
    "override",
    [f"{g}={c}" for g in GROUPS for c in sorted(GROUPS[g]) if g not in ("data", "experiment")],
)
def test_every_choice_builds(override: str) -> None:
    config, choices = composed(["dataset_dir=x", "store_dir=y", override])
    chosen = settings(config, choices)
    group, choice = override.split("=")
    assert choices[group] == choice
    made = [name for name, node in chosen.groups.items() if node == group]
    shown = {chosen.choices[name] for name in made if not chosen.stages[name].is_helper}
    assert shown <= {choice}
    assert bool(shown) == (STAGE.get(group) in chosen.stages)


@pytest.mark.parametrize(
    ("name", "backends", "precision"),
    [
        (
            "adagar",
            ("unidepth_v2_vitl14", "depth_anything_v2_large", "median", "marigold"),
            "32-true",
        ),
        (
            "shape_of_motion",
            ("unidepth_v2_vitl14", "depth_anything_v1_large", "median", "none"),
            "32-true",
        ),
        (
            "fast",
            ("moge_2_vits", "video_depth_anything_small", "sequence", "marigold_lcm"),
            "bf16-true",
        ),
        (
            "best",
            ("unidepth_v2_vitl14", "video_depth_anything_large", "sequence", "marigold"),
            "32-true",
        ),
    ],
)
@pytest.mark.parametrize("data", ["demo", "video"])
def test_recipes_compose_and_build(
    name: str, backends: tuple[str, ...], precision: str, data: str
) -> None:
    config, choices = composed(
        [f"data={data}", "data.path=a.mp4"] * (data == "video")
        + [f"experiment={name}", "dataset_dir=x", "store_dir=y"]
    )
    chosen = settings(config, choices)
    for stage, backend in zip(
        ("metric_depth", "depth", "alignment", "prior"), backends, strict=True
    ):
        assert choices[stage] == backend
        # a switched-off stage is not there
        assert chosen.choices.get(stage, "none") == backend
    for stage in ("metric_depth", "tracks"):
        assert chosen.stages[stage].key_options()["inference"]["precision"] == precision
    tracker = "alltracker_tiny" if name == "fast" else "alltracker"
    assert chosen.choices["tracks"] == tracker
    assert chosen.stages["tracks"].key_options()["rate"] == 4
    if name == "shape_of_motion":
        assert [layout.name for layout in chosen.layouts] == ["shape_of_motion"]
    if name == "best":
        assert SeenIntrinsics in chosen.stages["metric_depth"].reads()


def test_every_network_says_where_its_weights_are_and_under_which_licence() -> None:
    for group in ("metric_depth", "depth", "prior", "flow"):
        for choice in sorted(GROUPS[group]):
            path = CONF / group / f"{choice}.yaml"
            node = read_choice(path)
            if "hub" not in node:
                continue
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", node["hub"]) and node["revision"], path
            assert node["licence"] and isinstance(node["commercial"], bool), path
            assert node["commercial"] is not ("NC" in node["licence"] or "apple" in node["licence"])


def test_the_list_of_backends(run_main: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_main("backends")
    assert done.returncode == 0
    for group in ("masks", "metric_depth", "depth", "prior", "flow"):
        for choice in GROUPS[group]:
            assert re.search(rf"^{choice} ", done.stdout, re.M), choice
    assert "CC-BY-NC-4.0" in done.stdout and "335.3" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


HIDDEN = ("_target_", "defaults", "dir", "subdir", "chdir", "root")
TOP = re.compile(r"[\w/]+:")


def options_of(path: Path) -> list[tuple[str, str]]:
    """Names of a file's options, with their lines."""
    found = [(re.match(r"\s*([a-z_]+): *\S", line), line) for line in path.read_text().splitlines()]
    return [(m.group(1), line) for m, line in found if m and m.group(1) not in HIDDEN]


def every_part(path: Path) -> list[Path]:
    """The shared parts of a choice, theirs included."""
    parts = [part for part, _ in shared_parts(path)]
    return parts + [inner for part in parts for inner in every_part(part)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CONF)))
def test_every_option_has_a_comment(path: Path) -> None:
    """In the file itself or, where it only gives another value, in the shared part that it adds to."""
    assert path.parent == CONF or path.read_text().startswith("#")
    said = {name for part in every_part(path) for name, line in options_of(part) if "#" in line}
    bare = [name for name, line in options_of(path) if "#" not in line and name not in said]
    assert not bare


def test_comments_do_not_hide_values() -> None:
    """Every line that looks like an option is one to YAML too, in the right place of the file."""
    for path in FILES:
        node = yaml.safe_load(path.read_text()) or {}  # a choice that switches off holds nothing
        shown = {line.split(":")[0] for line in path.read_text().splitlines() if TOP.match(line)}
        assert shown == {str(name) for name in node}, path


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
    assert matches_type(value, kind) is good


def test_help_is_worth_reading(run_main: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_main("--help")
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


def test_each_job_of_a_cluster_gets_a_gpu() -> None:
    pytest.importorskip("submitit")
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["hydra/launcher=slurm"], return_hydra_config=True)
    launcher = config.hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert (launcher.gpus_per_node, launcher.nodes, launcher.tasks_per_node) == (1, 1, 1)
    assert launcher.max_num_timeout > 0 and launcher.signal_delay_s > 0  # else time over is the end


def test_recipes_take_what_was_published() -> None:
    """Steps of the LCM network; and the pixels that Shape of Motion's scripts track."""
    folders = ["dataset_dir=OUT", "store_dir=STORE"]
    for group in ("prior", "depth"):
        assert composed([f"{group}=marigold_lcm", *folders])[0][group]["steps"] == 1
    flow = composed(["experiment=shape_of_motion", *folders])[0]["flow"]
    assert flow["mask_only"] is True and flow["mask_margin"] == 0


# repositories of which no commit is known here: the hub's newest is taken, and its commit stands in the key
NOT_PINNED = {"metric_depth/prompt_depth_anything_small", "normals/marigold", "masks/sam3"}


def test_weights_are_pinned_to_a_commit() -> None:
    """A repository that changes must not change results."""
    for group in ("depth", "metric_depth", "prior", "flow", "normals", "masks", "sky"):
        for path in sorted((CONF / group).glob("[!_]*.yaml")):
            node = read_choice(path)
            if "hub" in node:
                is_pinned = re.fullmatch("[0-9a-f]{40}", node["revision"]) is not None
                assert is_pinned == (f"{group}/{path.stem}" not in NOT_PINNED), path
