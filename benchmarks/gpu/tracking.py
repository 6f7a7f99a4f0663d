"""All pairs of a clip: the published way, and the engine in float32, bfloat16 and compiled; and where the time goes."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks import tracks
from benchmarks.gpu.row import Row
from benchmarks.gpu.sizes import Sizes
from benchmarks.random_weights import alltracker
from dynprep.models import AllTracker
from dynprep.models.inference import InferenceOptions, Precision

_WANTED = 5.0  # times the plain way
_NEAR = 0.05  # pixels, in the median
_TOGETHER = 8  # passes at once, as conf/flow/alltracker.yaml
_RATE = 4
_TERA = 1e12


def tracking(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Seconds of all pairs, scaled up from some query frames for the plain way, and the ratio of each engine."""
    clip = tracks.video(sizes.frames, sizes.height, sizes.width).to(device)
    plain, answers = _plain(clip, sizes, device)
    size = f"{sizes.frames} frames of {sizes.height}x{sizes.width}"
    yield Row(
        f"tracks, {size}, plain fp32", f"{plain:.1f} s (from {sizes.plain_queries} query frames)"
    )
    ways: list[tuple[str, Precision, bool]] = [("fp32", "32-true", False)]
    if device.type == "cuda":
        ways += [("bf16", "bf16-true", False), ("bf16, compiled", "bf16-true", True)]
    for name, precision, compiled in ways:
        network, running = _network(sizes, precision, compiled, device)
        warm = clip[: min(len(clip), 17 if compiled else 3)]
        tracks.engine(network, running, warm, _TOGETHER)
        tracks.sync(device)
        began = time.perf_counter()
        found = tracks.engine(network, running, clip, _TOGETHER)
        tracks.sync(device)
        seconds = time.perf_counter() - began
        points = torch.from_numpy(tracks.grid(sizes.height, sizes.width))
        off = torch.cat([(found[p][:, :2] - points - flow).abs() for p, flow in answers.items()])
        middle = float(off.median())
        good = plain / seconds >= _WANTED and middle <= _NEAR if name != "fp32" else middle <= _NEAR
        value = f"{seconds:.1f} s, {plain / seconds:.1f} x, {middle:.1e} px in the median"
        yield Row(f"  engine {name}", value, good if device.type == "cuda" else None)


def _network(
    sizes: Sizes, precision: Precision, compiled: bool, device: torch.device
) -> tuple[AllTracker, InferenceOptions]:
    network = alltracker(sizes.variant)
    running = InferenceOptions(precision, False, compiled)
    running.prepare(network, device, ("flow_head.2", "visconf_head.2"))
    block = network.update_block
    running.compile_modules(
        block.motion_encoder, *block.refine, network.flow_head, network.visconf_head
    )
    return network, running


def _plain(
    clip: Tensor, sizes: Sizes, device: torch.device
) -> tuple[float, dict[tuple[int, int], Tensor]]:
    network, _ = _network(sizes, "32-true", False, device)
    for _ in tracks.plain(network, clip[:3], 0):
        pass
    step = max(1, sizes.frames // max(sizes.plain_queries, 1))
    queries = list(range(0, sizes.frames, step))[: sizes.plain_queries]
    answers: dict[tuple[int, int], Tensor] = {}
    taken = 0.0
    for query in queries:
        tracks.sync(device)
        began = time.perf_counter()
        for target, values in tracks.plain(network, clip, query):
            answers[query, target] = values[:2, ::_RATE, ::_RATE].flatten(1).T.cpu()
        tracks.sync(device)
        taken += time.perf_counter() - began
    return taken * sizes.frames / len(queries), answers


def roofline(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """What this device can do at most, and how near each part of the tracker comes to it."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a = torch.randn(sizes.matmul, sizes.matmul, device=device, dtype=dtype)
    most = 2 * sizes.matmul**3 / _best(lambda: a @ a, device)
    block = torch.empty(sizes.copy, dtype=torch.uint8, device=device)
    copied = 2 * sizes.copy / _best(block.clone, device)
    name = str(dtype).removeprefix("torch.")
    yield Row(
        "ceilings", f"{most / _TERA:.0f} TFLOP/s {name} matmul, {copied / _TERA:.2f} TB/s copied"
    )
    clip = tracks.video(16, sizes.height, sizes.width).to(device)
    network, running = _network(
        sizes, "bf16-true" if device.type == "cuda" else "32-true", False, device
    )
    with running.inference(device):
        for part in tracks.parts(network, clip, device):
            speed = part.flop / part.seconds
            share = f", {part.share:.0%} of an iteration" if part.share else ""
            yield Row(
                f"  {part.name}",
                f"{part.seconds * 1e3:.2f} ms, {speed / most:.0%} of matmul{share}",
            )


def _best(work: object, device: torch.device) -> float:
    """Least seconds of five runs after a warm-up."""
    assert callable(work)
    work()
    taken = []
    for _ in range(5):
        tracks.sync(device)
        began = time.perf_counter()
        work()
        tracks.sync(device)
        taken.append(time.perf_counter() - began)
    return min(taken)
