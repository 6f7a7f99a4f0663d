"""Depth backends: the stage as dynprep runs it against the plain loop of published scripts.

    python -m benchmarks.depth --backends depth/depth_anything_v2_small --frames 16

Plain: one image after the other, fp32: read, prepare, network, resize, write. Both sides do the same
work with the same made-up weights in one process; loading the network is left out of both.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.random_weights import MAKERS, make
from dynprep.conf_folder import CONF, read_choice
from dynprep.config.typed import build
from dynprep.models.inference import InferenceOptions
from dynprep.pipeline.execute import load_frame_table, run_stage
from dynprep.pipeline.plan import Plan, make_plan
from dynprep.pipeline.trainer import TrainerOptions, one_thread_an_image
from dynprep.scene.pictures import FramesSource
from dynprep.scene.resolution import Resolution, expected_frames
from dynprep.scene.source import Selection
from dynprep.stages.base import Deferred, FrameStage, Stage
from dynprep.stages.context import StageContext
from dynprep.stages.images import FrameExtraction
from dynprep.store import Store

_MEGA = 1e6


def arguments_from(words: list[str] | None = None) -> argparse.Namespace:
    """The command line's arguments, or those in ``words``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    few = ["depth/depth_anything_v2_small", "metric_depth/unidepth_v2_vits14"]
    parser.add_argument("--backends", nargs="+", choices=[*MAKERS, "all"], default=few)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", default="480x854", help="HxW of the frames, pixels")
    parser.add_argument("--accelerator", default="auto", choices=["auto", "cpu", "gpu", "mps"])
    parser.add_argument(
        "--precision", default=None, help="default: bf16-true on GPUs, else 32-true"
    )
    parser.add_argument("--batch", type=int, default=None, help="default: as a run chooses it")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args(words)


def pictures(folder: Path, count: int, height: int, width: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (height // 8 + 1, (width + 4 * count) // 8 + 1, 3), np.uint8)
    wide = Image.fromarray(small).resize((width + 4 * count, height), Image.Resampling.BICUBIC)
    for k in range(count):
        wide.crop((4 * k, 0, 4 * k + width, height)).save(folder / f"{k:05d}.png", compress_level=1)


def _stage(
    backend: str, checkpoint: Path, inference: InferenceOptions, resolution: Resolution
) -> FrameStage[Any, Any]:
    """The backend as its YAML describes it."""
    node = read_choice(CONF / f"{backend}.yaml")
    group = backend.split("/", maxsplit=1)[0]
    node["checkpoint"] = str(checkpoint)
    if "seed" in node:
        node["seed"] = 0  # there it is the run's
    stage = build(node, group, StageContext(resolution, inference, shared_camera=False))
    assert isinstance(stage, FrameStage)
    return stage


def _options(arguments: argparse.Namespace, precision: str) -> TrainerOptions:
    node = read_choice(CONF / "trainer/auto.yaml")
    node |= {"accelerator": arguments.accelerator, "precision": precision}
    node |= {"channels_last": arguments.channels_last, "compile": arguments.compile}
    options: TrainerOptions = build(node, "trainer")
    return options


def _plan(
    stage: FrameStage[Any, Any], pictures: Path, store: Store, resolution: Resolution
) -> Plan:
    camera = build(read_choice(CONF / "camera/pinhole.yaml"), "camera", stage.context)
    extraction = FrameExtraction(context=stage.context, png_compression=1)
    stages: dict[str, Stage] = {s.name: s for s in (extraction, camera, stage)}
    source = FramesSource(
        pictures, "clip", Selection(0, None, 1, None, None), "fail", "black", 24.0
    )
    scenes = [(source, expected_frames(source.probe(), resolution))]
    return make_plan(stages, [stage.name], scenes, store)


@contextmanager
def _silent(name: str, total: int) -> Iterator[Any]:
    yield lambda count: None


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _peak(device: torch.device) -> float:
    """MB: of the device, or of this process on a CPU (which never falls)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / _MEGA
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / _MEGA
    )


def _plain(stage: FrameStage[Any, Any], plan: Plan, device: torch.device) -> float:
    """Seconds of the plain loop over all frames but the first, which warms up."""
    scene = plan.scenes[0]
    readable = scene.read()
    result = scene.results[stage.name]
    result.begin({})
    stage.setup(device)
    torch.backends.cudnn.allow_tf32 = True  # PyTorch's default, which scripts leave alone
    started = 0.0
    for k, stem in enumerate(scene.frames.stems):
        if k == 1:
            started = time.perf_counter()
        (output,) = stage.compute([stage.load(readable, stem)])
        made = output.get() if isinstance(output, Deferred) else output
        stage.write(result.writer(stem), readable, stem, made)
    return time.perf_counter() - started


def _engine(
    stage: FrameStage[Any, Any], plan: Plan, options: TrainerOptions, batch: int | None
) -> float:
    """Seconds of the stage's run from when the network is loaded."""
    ready = [0.0]
    setup = stage.setup

    def timed(device: Any) -> None:
        setup(device)
        ready[0] = time.perf_counter()

    stage.setup = timed  # type: ignore[method-assign]
    run_stage(plan, stage.name, options, batch, _silent, print)
    return time.perf_counter() - ready[0]


def _network(stage: FrameStage[Any, Any], plan: Plan, at_once: int, device: torch.device) -> float:
    """Seconds of the network alone, samples ready in memory."""
    scene = plan.scenes[0]
    readable = scene.read()
    stage.setup(device)  # the run before has let go of the network
    samples = [stage.load(readable, stem) for stem in scene.frames.stems]
    stage.compute(samples[:at_once])
    _wait(device)
    started = time.perf_counter()
    for k in range(0, len(samples), at_once):
        stage.compute(samples[k : k + at_once])
    _wait(device)
    return time.perf_counter() - started


@dataclass(frozen=True)
class Speed:
    """Items a second of the plain loop and of dynprep, their peak memory in MB, and the share of the time in which the
    network alone would be done."""

    plain: float
    plain_mb: float
    engine: float
    engine_mb: float
    busy: float


def measure(backend: str, arguments: argparse.Namespace, root: Path) -> Speed:
    """Run both sides with made-up weights of the published size; root: holds ``frames/`` and takes what is written."""
    resolution = build(read_choice(CONF / "resolution/native.yaml"), "resolution")
    weights = root / backend.replace("/", "-")
    make(backend, weights)
    gpu = arguments.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "mps" if arguments.accelerator == "mps" else "cpu")
    options = _options(arguments, arguments.precision or ("bf16-true" if gpu else "32-true"))
    at_once = arguments.batch or (options.gpu_batch if device.type != "cpu" else 1)
    one_thread_an_image()

    plain = _stage(backend, weights, InferenceOptions("32-true", False, False), resolution)
    plan = _plan(plain, root / "frames", Store(root / "plain"), resolution)
    for name in [n for n in plan.stages if n != plain.name]:
        run_stage(plan, name, options, None, _silent, print)
    load_frame_table(plan.scenes[0])
    slow = _plain(plain, plan, device) / (arguments.frames - 1)
    slow_peak = _peak(device)
    del plain
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    fast = _stage(backend, weights, options.inference(), resolution)
    plan = _plan(
        fast, root / "frames", Store(root / f"engine-{backend.replace('/', '-')}"), resolution
    )
    for name in [n for n in plan.stages if n != fast.name]:
        run_stage(plan, name, options, None, _silent, print)
    load_frame_table(plan.scenes[0])
    quick = _engine(fast, plan, options, arguments.batch) / arguments.frames
    network = _network(fast, plan, at_once, device) / arguments.frames
    peak = _peak(device)
    return Speed(1 / slow, slow_peak, 1 / quick, peak, network / quick)


def main() -> None:
    """Print one line a backend."""
    arguments = arguments_from()
    height, width = map(int, arguments.size.split("x"))
    names = list(MAKERS) if "all" in arguments.backends else arguments.backends
    size = f"{arguments.frames} frames of {height}x{width}"
    print(f"{size}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'':34} {'plain':>17} {'dynprep':>17}")
    print(
        f"{'backend':34} {'items/s':>8} {'MB':>8} {'items/s':>8} {'MB':>8} {'ratio':>6} {'busy':>6}"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pictures(root / "frames", arguments.frames, height, width)
        for backend in names:
            one = measure(backend, arguments, root)
            print(
                f"{backend:34} {one.plain:8.2f} {one.plain_mb:8.0f} {one.engine:8.2f} {one.engine_mb:8.0f} "
                f"{one.engine / one.plain:6.2f} {one.busy:6.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
