"""Jobs side by side on a machine with several GPUs."""

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dynprep.errors import UserError
from dynprep.pipeline import devices


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with GPUs 0 and 3."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["0", "3"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    yield
    devices._held.close()
    devices._claims.clear()


def taken_by_another_process(number: int) -> tuple[str, ExitStack]:
    """What a further process takes, and what it holds."""
    held, claims = devices._held, devices._claims
    devices._held, devices._claims = ExitStack(), []
    os.environ["CUDA_VISIBLE_DEVICES"] = "0,3"
    devices.claim_gpu("auto", number)
    mine = devices._held
    devices._held, devices._claims = held, claims
    return os.environ["CUDA_VISIBLE_DEVICES"], mine


def test_each_process_takes_a_free_gpu_and_keeps_it() -> None:
    devices.claim_gpu("auto", 0)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    devices.claim_gpu("auto", 1)  # the next job of the same process
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    gpu, held = taken_by_another_process(1)
    assert gpu == "3"
    assert taken_by_another_process(3)[0] == "3"  # none is free: shared evenly
    held.close()
    assert taken_by_another_process(2)[0] == "3"


def test_who_asks_for_several_gets_them() -> None:
    devices.claim_gpu(2, 0)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,3"


def test_the_clusters_choice_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    devices.claim_gpu("auto", 0)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,3"


def test_one_gpu_is_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["3"])
    devices.claim_gpu("auto", 5)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,3"


def test_a_folder_of_another_users_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"dynprep-gpus-{getpass.getuser()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is not this user's folder"):
        devices.claim_gpu("auto", 0)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.82.01  Wed Oct", "driver 470.82.01:"),
        (None, "no NVIDIA driver was found"),
    ],
)
def test_a_cuda_build_that_sees_no_gpu_is_said(
    driver: str | None, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    if driver is not None:
        (tmp_path / "version").write_text(driver)
    monkeypatch.setattr(devices, "_DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = devices.why_no_gpu()
    assert line is not None and said in line
    assert f"PyTorch {torch.__version__} is built for CUDA 13.0" in line
    monkeypatch.setattr(torch.version, "cuda", None)
    assert devices.why_no_gpu() is None
