"""What runs compute, pinned: SHA-256 of every data file of four datasets.

Three of them are made by tests/test_demo_and_blackswan.py, which looks at their quality first.

Hashes hold on machines that round alike; ``probe`` and, for networks, ``network_probe`` tell such machines
apart, and a file may hold the hashes of several. Figures of every folder hold on all. To pin anew after a change
that is meant to give other bytes:

    DYNPREP_WRITE_GOLDEN=1 python -m pytest tests/golden tests/test_demo_and_blackswan.py
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.linalg import solveh_banded

from benchmarks import random_weights
from tests.conftest import SMALL, RunHere

HERE = Path(__file__).parent
# say who made a dataset and when, and what is thought of it
ASIDE = ("dynprep.json", "dynprep_files.json", "verdict.json")
WRITE = os.environ.get("DYNPREP_WRITE_GOLDEN") == "1"


def probe() -> str:
    """A hash of small computations by every library that results depend on."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((64, 64)).astype(np.float32)
    image = cv2.resize(a, (97, 41), interpolation=cv2.INTER_AREA)
    banded = np.stack([np.full(64, -0.5), np.full(64, 2.0)]).astype(np.float32)
    picture = torch.from_numpy(a[:3].reshape(1, 3, 8, 8).copy())
    kernel = torch.from_numpy(a[:4, :27].reshape(4, 3, 3, 3).copy())
    parts = [
        a @ a,
        np.exp(a),
        image,
        solveh_banded(banded, a),
        torch.nn.functional.conv2d(picture, kernel).numpy(),
        torch.nn.functional.gelu(torch.from_numpy(a)).numpy(),
    ]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def digests(dataset: Path) -> dict[str, str]:
    """By folder (or file at the top): a hash of the names and hashes of its files."""
    lines: dict[str, list[str]] = {}
    for path in sorted(p for p in dataset.rglob("*") if p.is_file() and p.name not in ASIDE):
        inner = path.relative_to(dataset)
        where = str(inner.parent) if len(inner.parts) > 1 else inner.name
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.setdefault(where, []).append(f"{inner.name} {content}")
    return {k: hashlib.sha256("\n".join(v).encode()).hexdigest() for k, v in lines.items()}


def network_probe() -> str:
    """A hash of layers as networks have them: how their sums are blocked depends on the processor's caches."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 3, padding=1),
        torch.nn.GELU(),
        torch.nn.Conv2d(64, 64, 14, 14),
        torch.nn.Flatten(2),
        torch.nn.TransformerEncoderLayer(36, 4, 144, batch_first=True),
        torch.nn.LayerNorm(36),
    ).eval()
    x = torch.rand(1, 3, 84, 84)
    with torch.inference_mode():
        out = layers(x)
        up = torch.nn.functional.interpolate(x, (97, 131), mode="bicubic", align_corners=False)
    return hashlib.sha256(out.numpy().tobytes() + up.numpy().tobytes()).hexdigest()


def figures(dataset: Path) -> dict[str, list[float]]:
    """By folder: mean and deviation of all finite numbers of its arrays."""
    values: dict[str, list[np.ndarray]] = {}
    for path in sorted(dataset.rglob("*.npy")):
        numbers = np.load(path, allow_pickle=False).astype(np.float64)
        folder = str(path.parent.relative_to(dataset))
        values.setdefault(folder, []).append(numbers[np.isfinite(numbers)])
    joined = {folder: np.concatenate(parts) for folder, parts in values.items()}
    return {k: [float(f"{n:.6g}") for n in (v.mean(), v.std())] for k, v in joined.items()}


def hold(name: str, dataset: Path, has_networks: bool = False) -> None:
    """Compare with what is pinned under ``name``, or pin it for machines like this one."""
    path = HERE / f"{name}.json"
    machine = probe() + (network_probe() if has_networks else "")
    pinned = json.loads(path.read_text())
    if WRITE:
        hashes = {**pinned["hashes"], machine: digests(dataset)}
        pinned = {"figures": figures(dataset), "hashes": hashes}
        path.write_text(json.dumps(pinned, indent=1) + "\n")
    found = figures(dataset)
    assert found.keys() == pinned["figures"].keys()
    for folder, numbers in pinned["figures"].items():
        np.testing.assert_allclose(found[folder], numbers, rtol=3e-3, err_msg=folder)
    if machine not in pinned["hashes"]:
        pytest.skip("this machine rounds differently from those that the hashes are from")
    assert digests(dataset) == pinned["hashes"][machine]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of networks depend on how many threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_network_of_every_kind(run_here: RunHere, tmp_path: Path) -> None:
    from dynprep.models import AllTracker

    weights = tmp_path / "weights"
    random_weights.unidepth(weights / "unidepth")
    random_weights.depth_anything(weights / "depth_anything")
    random_weights.marigold(weights / "marigold")
    tracker = random_weights.seeded(AllTracker("tiny"), gain=0.5)
    torch.save({"model": tracker.state_dict()}, weights / "tracker.pth")
    run = run_here(
        *SMALL, "data.count=4", "masks=motion", "alignment=huber",
        "metric_depth=unidepth_v2_vits14", f"metric_depth.checkpoint={weights / 'unidepth'}",
        "depth=depth_anything_v2_small", f"depth.checkpoint={weights / 'depth_anything'}",
        "depth.parameters=null", "prior=marigold", f"prior.checkpoint={weights / 'marigold'}",
        "prior.parameters=null", "prior.steps=2", "resolution.prior_input=64",
        "flow=alltracker_tiny", f"flow.checkpoint={weights / 'tracker.pth'}", "flow.iters=2",
        "batch_size=1",
    )  # fmt: skip
    hold("networks", run / "dataset" / "demo", has_networks=True)
