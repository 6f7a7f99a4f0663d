"""Jobs side by side on a machine with several GPUs."""

import os
from pathlib import Path

import pytest

from dynprep.pipeline.devices import take_one


def test_each_job_takes_a_free_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpus = ["0", "3"]
    first = take_one(gpus, tmp_path, 0)
    assert first is not None and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    second = take_one(gpus, tmp_path, 1)
    assert second is not None and os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert take_one(gpus, tmp_path, 3) is None  # none is free: shared evenly
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    first.release()
    assert take_one(gpus, tmp_path, 4) is not None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_one_gpu_is_no_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert take_one(["5"], tmp_path, 2) is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
