"""``dynprep check``: every promise of a network is looked at, and damage is named."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import random_weights
from dynprep.artefacts.maps import MapKind, RelativeMap
from dynprep.backends.depth.hugging_face import HuggingFaceDepth
from dynprep.checks.values import difference, span
from dynprep.models import AllTracker

Main = Callable[..., subprocess.CompletedProcess[str]]

SMALL = ["check.frames=2", "resolution.short_side=96"]
DEPTH = ["depth=depth_anything_v2_small", "depth.parameters=null", "stages=[depth]"]
COMMIT = "c0ffee" + 34 * "0"


def report(done: subprocess.CompletedProcess[str]) -> dict[str, list[tuple[str, str]]]:
    """Marks and texts of a ``--json`` report, by what they are about."""
    lines: dict[str, list[tuple[str, str]]] = {}
    for line in json.loads(done.stdout)["lines"]:
        lines.setdefault(line["about"], []).append((line["mark"], line["text"]))
    return lines


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache with made-up weights of the small depth network, which count as published; gives their file."""
    from huggingface_hub import constants

    root = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = root / "models--depth-anything--Depth-Anything-V2-Small-hf"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    random_weights.depth_anything(repository / "snapshots" / COMMIT)
    return repository / "snapshots" / COMMIT / "model.safetensors"


def answer(monkeypatch: pytest.MonkeyPatch, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Let the depth network give true disparity, changed."""
    usual = HuggingFaceDepth.load

    def load(self: HuggingFaceDepth, scene: Any, item: str) -> Any:
        from dynprep.scene.truth import Truth

        depth = Truth(scene.source.truth).depth(scene.number(item))
        import cv2

        self.true = 1 / cv2.resize(depth, scene.frames.size[::-1], interpolation=cv2.INTER_NEAREST)  # type: ignore[attr-defined]
        return usual(self, scene, item), self.true  # type: ignore[attr-defined]

    def compute(self: HuggingFaceDepth, samples: Any) -> list[RelativeMap]:
        maps = (change(true).astype(np.float32) for _, true in samples)
        return [RelativeMap(one, MapKind.DISPARITY) for one in maps]

    monkeypatch.setattr(HuggingFaceDepth, "load", load)
    monkeypatch.setattr(HuggingFaceDepth, "compute", compute)


def test_without_networks_the_machine_is_looked_at(run_main: Main) -> None:
    done = run_main("check")
    assert done.returncode == 0 and not done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert [line[1] for line in lines[:5]] == ["python", "packages", "torch", "gpu", "memory"]
    assert done.stdout.splitlines()[-1] == "all is well"
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_data_that_are_not_there_are_a_line_and_the_rest_is_looked_at(
    run_main: Main, tmp_path: Path
) -> None:
    absent = ["data=video", "data.path=a.mp4", f"depth.checkpoint={tmp_path / 'none'}", *DEPTH]
    done = run_main("check", *absent, "--json")
    lines = report(done)
    assert done.returncode == 1
    assert lines["scene"] == [("wrong", "a.mp4: no such file or folder; check data.path")]
    ((mark, text),) = lines["depth"]
    assert mark == "wrong" and "no such file or folder" in text


@pytest.mark.thorough
def test_weights_that_are_absent_are_open_not_well(run_main: Main, hub: Path) -> None:
    done = run_main("check", "experiment=adagar", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["well"] is False
    ((mark, text),) = report(done)["depth"]
    assert mark == "open" and "downloads about 1.3 GB" in text and "not for commercial use" in text
    done = run_main("check", *DEPTH, "depth.hub=some/one", "--download", "--json")
    ((mark, text),) = report(done)["depth"]
    assert done.returncode == 1 and mark == "wrong" and "HF_HUB_OFFLINE" in text


@pytest.mark.slow
def test_made_up_weights_of_every_kind_keep_their_promises(run_main: Main, tmp_path: Path) -> None:
    place = tmp_path / "weights"
    random_weights.unidepth(place / "unidepth")
    random_weights.depth_anything(place / "depth")
    random_weights.marigold(place / "marigold")
    tracker = random_weights.seeded(AllTracker("tiny"), gain=0.5)
    torch.save({"model": tracker.state_dict()}, place / "tracker.pth")
    recipe = [
        "metric_depth=unidepth_v2_vits14", f"metric_depth.checkpoint={place / 'unidepth'}",
        "depth=depth_anything_v2_small", f"depth.checkpoint={place / 'depth'}", "depth.parameters=null",
        "prior=marigold", f"prior.checkpoint={place / 'marigold'}", "prior.parameters=null", "prior.steps=1",
        "resolution.prior_input=64", "flow=alltracker_tiny", f"flow.checkpoint={place / 'tracker.pth'}",
        "flow.iters=1",
    ]  # fmt: skip
    table = tmp_path / "table.json"
    half = ["trainer.precision=bf16-true", "check.half_error=0.5"]
    done = run_main("check", *SMALL, *recipe, *half, "--json", "--record", str(table))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = report(done)
    for stage in ("metric_depth", "depth", "prior", "tracks"):
        texts = [text for _, text in lines[stage]]
        assert any("runs on cpu in bf16-true" in text for text in texts)
        assert any("together and alone differ" in text for text in texts)
        assert any("bf16-true and 32-true differ" in text for text in texts)
        assert ("note" in {mark for mark, _ in lines[stage]}) == any("trained" in t for t in texts)
    assert len(json.loads(table.read_text())["entries"]) == 4


@pytest.mark.thorough
def test_networks_that_see_sky_keep_their_promises(run_main: Main, tmp_path: Path) -> None:
    """Where there is none, as on the demo, nothing is wrong with it; what no stage can give is."""
    place = tmp_path / "weights"
    random_weights.depth_anything_3(place / "single", kind="single")
    random_weights.segformer(place / "sky")
    recipe = [
        "depth=depth_anything_3_mono", f"depth.checkpoint={place / 'single'}", "depth.variant=small", "depth.side=70",
        "depth.parameters=null", "sky=segformer_b0", f"sky.checkpoint={place / 'sky'}", "sky.parameters=null",
        "stages=[depth,sky]", "check.frames=3",
    ]  # fmt: skip
    done = run_main("check", *SMALL, *recipe, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = report(done)
    for stage in ("depth", "sky"):
        assert any("together and alone differ" in text for _, text in lines[stage])
    done = run_main("check", *SMALL, "poses=metric_depth", "sky=seen", "--quick", "--json")
    assert done.returncode == 1
    assert any("sees no poses" in text for _, text in report(done)["cameras"])
    assert any("sees the sky" in text for _, text in report(done)["sky"])


def test_a_network_that_knows_depth_passes_and_one_turned_over_does_not(
    run_main: Main, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["check", *SMALL, *DEPTH, "depth.revision=main", "--json"]
    answer(monkeypatch, lambda true: true)
    done = run_main(*given)
    assert done.returncode == 0, done.stdout
    assert ("ok", "near is near: rank correlation 1") in report(done)["depth"]
    for change, words in (
        (lambda true: -true, "rank correlation -1, 0.5 or more is expected of published weights"),
        (lambda true: true.T, "cannot run: "),
        (lambda true: np.full_like(true, 3), "gives the same everywhere"),
        (lambda true: np.where(true > np.median(true), np.nan, true), "not finite"),
    ):
        answer(monkeypatch, change)
        done = run_main(*given)
        wrong = [text for mark, text in report(done)["depth"] if mark == "wrong"]
        assert done.returncode == 1 and any(words in text for text in wrong), (words, done.stdout)


@pytest.mark.thorough
def test_frames_that_do_not_fit_at_once_are_a_note_as_a_run_takes_fewer(
    run_main: Main, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, lambda true: true)
    right = HuggingFaceDepth.compute

    def compute(self: HuggingFaceDepth, samples: Any) -> list[RelativeMap]:
        if len(samples) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return right(self, samples)

    monkeypatch.setattr(HuggingFaceDepth, "compute", compute)
    done = run_main("check", *SMALL, *DEPTH, "depth.revision=main", "--json")
    lines = report(done)["depth"]
    assert done.returncode == 0, done.stdout
    assert any(mark == "note" and "at once: a run takes fewer" in text for mark, text in lines)


@pytest.mark.thorough
def test_a_mask_network_follows_an_object_of_the_demo(run_main: Main, tmp_path: Path) -> None:
    weights = random_weights.sam2(tmp_path / "sam2")
    masks = ["masks=sam2_tiny", f"masks.checkpoint={weights}", "masks.parameters=null"]
    mine = ["masks.points=[[9,9,1]]", "stages=[masks]"]  # of a user's own clip
    done = run_main("check", *SMALL, *masks, *mine, "--json")
    texts = [text for _, text in report(done)["masks"]]
    assert done.returncode == 0, done.stdout + done.stderr
    assert any("runs on cpu in 32-true" in text for text in texts)
    assert any("a marked object is found: J" in text for text in texts)


@pytest.mark.thorough
def test_values_that_are_not_finite_in_half_precision_are_told(
    run_main: Main, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, lambda true: true)
    right: Any = HuggingFaceDepth.compute  # as `answer` made it

    def compute(self: HuggingFaceDepth, samples: Any) -> list[RelativeMap]:
        maps = right(self, samples)
        if self.inference.precision == "16-true":
            maps[0].values[0, 0] = np.nan
        return maps

    monkeypatch.setattr(HuggingFaceDepth, "compute", compute)
    given = ["check", *SMALL, *DEPTH, "depth.revision=main", "--json"]
    assert run_main(*given).returncode == 0
    done = run_main(*given, "trainer.precision=16-true")
    wrong = [text for mark, text in report(done)["depth"] if mark == "wrong"]
    assert done.returncode == 1
    assert "in 16-true; use trainer.precision=bf16-true or 32-true" in wrong[0]


@pytest.mark.thorough
def test_what_was_recorded_finds_weights_that_changed(
    run_main: Main, hub: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    table = tmp_path / "table.json"
    given = ["check", *SMALL, *DEPTH, "depth.revision=main", "check.nearness=-1", "--json"]
    assert run_main(*given, "--record", str(table)).returncode == 0
    done = run_main(*given, "--against", str(table))
    assert done.returncode == 0
    assert any("gives what was recorded" in text for _, text in report(done)["depth"])
    tensors = load_file(hub)
    tensors["head.conv1.weight"] *= -1
    save_file(tensors, hub, metadata={"format": "pt"})
    done = run_main(*given, "--against", str(table))
    wrong = [text for mark, text in report(done)["depth"] if mark == "wrong"]
    assert done.returncode == 1 and "from what was recorded in table.json" in wrong[0]
    table.write_text('{"format": 2, "entries": {}}')
    done = run_main(*given, "--against", str(table))
    assert done.returncode == 1 and "its format is 2" in done.stderr


@pytest.mark.thorough
def test_a_network_without_weights_does_not_keep_the_others_from_running(
    run_main: Main, hub: Path
) -> None:
    both = ["depth=depth_anything_v2_small", "depth.parameters=null", "depth.revision=main"]
    both += ["metric_depth=unidepth_v2_vits14", "stages=[masks,metric_depth,depth,alignment]"]
    done = run_main("check", *SMALL, *both, "check.nearness=-1", "--json")
    lines = report(done)
    assert done.returncode == 1
    assert [mark for mark, _ in lines["metric_depth"]] == ["open"]
    assert any("runs on cpu" in text for _, text in lines["depth"])


def test_tables_that_cannot_be_used_are_said_before_any_work(
    run_main: Main, tmp_path: Path
) -> None:
    done = run_main("check", *DEPTH, "--against", str(tmp_path / "none.json"))
    assert done.returncode == 1 and not done.stdout and "there is no such file" in done.stderr
    done = run_main("check", *DEPTH, "--record", "/proc/x/values.json")
    assert done.returncode == 1 and not done.stdout and "--record" in done.stderr
    bad = tmp_path / "bad.json"
    entry = {
        "precision": "32-true", "shape": [1], "mean": 0.0, "median": 0.0, "span": 0.0, "pixels": [0.0] * 16,
    }  # fmt: skip
    bad.write_text(json.dumps({"format": 1, "entries": {"depth x": entry}}))
    done = run_main("check", *DEPTH, "--against", str(bad))
    assert done.returncode == 1 and "depth x: its span" in done.stderr


def test_a_wrong_checkpoint_is_named_and_the_others_are_looked_at(
    run_main: Main, tmp_path: Path
) -> None:
    metric = random_weights.depth_anything(tmp_path / "metric", metric=True)
    done = run_main("check", *SMALL, *DEPTH, f"depth.checkpoint={metric}", "--json")
    ((mark, text),) = report(done)["depth"]
    assert done.returncode == 1 and mark == "wrong" and "metric depth_anything" in text


def test_pin_prints_the_commit_that_is_here(run_main: Main, hub: Path) -> None:
    done = run_main("check", *DEPTH, "depth.revision=main", "--pin")
    assert done.returncode == 0 and done.stdout == f"depth.revision={COMMIT}\n"


def test_differences_are_shares_of_the_range() -> None:
    a = [np.linspace(0, 100, 101)]
    off = difference([a[0] + 2], a)
    assert off.most == pytest.approx(2 / span(a)) and off.middle == pytest.approx(off.most)
    assert span([np.zeros(5)]) == 1.0
    with pytest.raises(ValueError, match="shapes"):
        difference([np.zeros((2, 3))], [np.zeros((3, 2))])
