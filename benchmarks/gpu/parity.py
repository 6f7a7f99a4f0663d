"""The networks written here against stored numbers of the published ones, on the device, TF32 off and on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from benchmarks.gpu.row import Row
from benchmarks.gpu.sizes import Sizes
from dynprep.models import AllTracker, UniDepthV2
from tests.fixtures.alltracker import make_input as tracked_input
from tests.fixtures.alltracker import weights as tracker_weights
from tests.fixtures.unidepth import make_input as depth_input
from tests.fixtures.unidepth import weights as depth_weights

_TRACKED = Path(tracked_input.__file__).parent
_DEPTH = Path(depth_input.__file__).parent
_MOST_PIXELS = 2e-2  # of a track, in float32: another order of sums
_MOST_DEPTH = 5e-4  # relative
Variant = Literal["vits14", "vitb14", "vitl14"]


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def parity(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Largest and median difference of every case."""
    for allowed in (False, True) if device.type == "cuda" else (False,):
        how = "TF32" if allowed else "fp32"
        with _tf32(allowed):
            for name in sizes.alltracker:
                most, middle = _tracks_off(name, device)
                good = None if allowed else most < _MOST_PIXELS
                yield Row(f"AllTracker {name}, {how}", f"{most:.1e} px at most, {middle:.1e}", good)
            for variant, name in sizes.unidepth:
                most, middle = _depth_off(variant, name, device)
                good = None if allowed else most < _MOST_DEPTH
                yield Row(
                    f"UniDepth {variant} {name}, {how}", f"{most:.1e} relative, {middle:.1e}", good
                )


def _tracks_off(name: str, device: torch.device) -> tuple[float, float]:
    wanted = np.load(_TRACKED / f"{name}.npz", allow_pickle=False)
    variant: Literal["full", "tiny"] = "full" if str(wanted["variant"]) == "full" else "tiny"
    network = tracker_weights.fill(AllTracker(variant), 0).eval().to(device)
    frames, height, width = (int(wanted[k]) for k in ("T", "H", "W"))
    clip = torch.from_numpy(tracked_input.make_video(frames, height, width, 0)).to(device)
    flow, _ = network.track(clip, int(wanted["query_frame"]), int(wanted["iters"]))
    off = np.abs(flow[wanted["frames"]][..., ::8, ::8].cpu().numpy() - wanted["flows_sub"])
    return float(off.max()), float(np.median(off))


def _depth_off(variant: str, name: str, device: torch.device) -> tuple[float, float]:
    known: Variant = next(v for v in ("vits14", "vitb14", "vitl14") if v == variant)  # type: ignore[misc]
    shapes = json.loads((_DEPTH / f"state_dict_{variant}.json").read_text())
    network = UniDepthV2(known).eval()
    values = {k: torch.from_numpy(depth_weights.value(k, s, 0)) for k, s in shapes.items()}
    network.load_published(values)
    network.to(device)
    size = name.removeprefix(f"{variant}_").split("_", maxsplit=1)[0]
    height, width = map(int, size.split("x"))
    image = torch.from_numpy(depth_input.make_image(height, width, 0)).permute(2, 0, 1)[None]
    depth = network.infer(image.to(device))["depth"][0, 0, ::8, ::8].cpu().numpy()
    wanted = np.load(_DEPTH / f"{name}.npz", allow_pickle=False)["depth_s8"]
    off = np.abs(depth / wanted - 1)
    return float(off.max()), float(np.median(off))
