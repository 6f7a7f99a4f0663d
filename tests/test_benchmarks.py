"""Benchmarks that a lent machine's minutes are spent on must not fail for a silly reason."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# what a machine with a GPU may not have
_ABSENT = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"hydra", "omegaconf", "wandb", "diffusers", "av"}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.thorough
def test_the_gpu_benchmark_runs_at_tiny_sizes_without_hydra_and_wandb(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = ["benchmarks.gpu", "--rehearse", "--only", "attention", "memory", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", _ABSENT, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    table = json.loads(out.read_text())
    rows = {row["name"]: row for row in table["rows"]}
    assert rows["out of memory"] == {
        "name": "out of memory", "value": "16 at once became 2", "good": True,
    }  # fmt: skip
    assert done.stdout.splitlines()[-1].startswith("out of memory")


def test_the_cases_that_the_gpu_benchmark_names_are_there() -> None:
    from benchmarks.gpu.sizes import REAL, TINY

    fixtures = ROOT / "tests" / "fixtures"
    for sizes in (REAL, TINY):
        for name in sizes.alltracker:
            assert (fixtures / "alltracker" / f"{name}.npz").is_file(), name
        for variant, name in sizes.unidepth:
            assert (fixtures / "unidepth" / f"{name}.npz").is_file(), name
            assert (fixtures / "unidepth" / f"state_dict_{variant}.json").is_file(), variant
