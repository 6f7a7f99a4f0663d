"""All pairs of a clip: the engine against the published way, same made-up weights, one process.

    python -m benchmarks.tracks --variant tiny --frames 24 --size 128x192

Plain: for each query frame, forward and backward, frames are encoded anew (the query frame and 16
slots for the first window, 8 for each further one), windows are run step by step as published
(``benchmarks.published``), every iteration upsampled in all slots to all pixels. Engine: what
flow=alltracker runs, read at a grid of every 4th pixel. Seconds are the wall's; on a machine with
other work compare the seconds of processor time.
"""

import argparse
import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import published
from benchmarks.random_weights import alltracker
from dynprep.models import AllTracker
from dynprep.models.alltracker.correlation import Correlation, pyramid
from dynprep.models.alltracker.engine import AllPairs
from dynprep.models.alltracker.network import Framing, State, carried, own_cells
from dynprep.models.alltracker.readout import Readout
from dynprep.models.alltracker.schedule import STEP, windows
from dynprep.models.alltracker.upsampling import all_logits, upsample
from dynprep.models.inference import InferenceOptions, free_memory

_RATE = 4  # pixels between query points
_MEGA, _GIGA, _TERA = 1e6, 1e9, 1e12


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="tiny", choices=["full", "tiny"])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="128x192", help="HxW, pixels")
    parser.add_argument("--precision", default="32-true", help="of the engine; plain is 32-true")
    parser.add_argument("--compile", action="store_true", help="the engine")
    parser.add_argument("--together", type=int, default=1, help="passes at once")
    parser.add_argument("--memory-gb", type=float, default=None)
    only = "plain: only so many query frames, evenly spaced; its time is scaled up"
    parser.add_argument("--plain-queries", type=int, default=None, help=only)
    parser.add_argument("--parts", action="store_true", help="FLOP and time of a window's parts")
    return parser.parse_args()


def video(frames: int, height: int, width: int) -> Tensor:
    """A smooth random texture that moves 2 px right and 1 px up a frame: (T, 3, H, W) in 0..255."""
    rng = np.random.default_rng(0)
    big = (height + frames, width + 2 * frames)
    coarse = torch.from_numpy(
        rng.uniform(0, 255, (1, 3, big[0] // 8, big[1] // 8)).astype(np.float32)
    )
    wide = torch.nn.functional.interpolate(coarse, big, mode="bicubic").clamp(0, 255)[0]
    return torch.stack(
        [wide[:, t : t + height, 2 * (frames - t) :][..., :width] for t in range(frames)]
    ).round()


class Encodes:
    """Counts the frames that a network encodes."""

    def __init__(self, network: AllTracker) -> None:
        self.count, self._encode = 0, network.encode
        network.encode = self._counted  # type: ignore[method-assign]

    def _counted(self, frames: Tensor) -> Tensor:
        self.count += len(frames)
        return self._encode(frames)


class Peak:
    """Most memory above the start, MB: of the GPU, else of this process, looked at 50 times a second."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.most = device, 0.0

    def __enter__(self) -> "Peak":
        with contextlib.suppress(OSError, AttributeError):  # what was freed goes back to the system
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self.start, self.ended = self._now(), threading.Event()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            self.thread = threading.Thread(target=self._watch, daemon=True)
            self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.most = torch.cuda.max_memory_allocated() / _MEGA - self.start
        else:
            self.ended.set()
            self.thread.join()

    def _now(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated() / _MEGA
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / _MEGA

    def _watch(self) -> None:
        while not self.ended.wait(0.02):
            self.most = max(self.most, self._now() - self.start)


@torch.inference_mode()
def plain(
    network: AllTracker, clip: Tensor, query: int, iters: int = 4
) -> Iterator[tuple[int, Tensor]]:
    """(frame, flow, visibility and confidence (4, H, W)) of one query frame, the published way."""
    framing = Framing(clip.shape[-2], clip.shape[-1])
    for order in (range(query, len(clip)), range(query, -1, -1)):
        before: State | None = None
        anchor, maps = network.encode(clip[query, None]), None
        for window in windows(len(order)):
            slots = len(window.frames)
            frames = clip[[order[f] for f in window.frames]]
            maps = (
                network.encode(frames)
                if maps is None
                else torch.cat([maps[STEP:], network.encode(frames[STEP:])])
            )
            state, context = network.start(anchor, slots)
            if before is not None:
                state = State(state.feat, carried(before.flows), carried(before.visconfs))
            levels = published.volumes(anchor[0], maps)
            for _ in range(iters):
                state = published.step(network, state, context, levels)
                logits = all_logits(network.upsample_weight, state.feat)
                flow = upsample(state.flows, logits)
                visconf = upsample(state.visconfs, logits).sigmoid()
            before = state
            for slot, frame in window.results:
                if frame:
                    yield order[frame], framing.crop(torch.cat([flow[slot], visconf[slot]]))


def sync(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def grid(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height:_RATE, 0:width:_RATE]
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)


def engine(
    network: AllTracker,
    running: InferenceOptions,
    clip: Tensor,
    together: int,
    memory_gb: float | None = None,
) -> dict[tuple[int, int], Tensor]:
    """Tracks (N, 4) of every ordered pair of different frames, on the host."""
    count, _, height, width = clip.shape
    found: dict[tuple[int, int], Tensor] = {}
    with running.inference(clip.device):
        maps = torch.cat([network.encode(frame[None]) for frame in clip])
        budget = memory_gb * _GIGA if memory_gb else free_memory(clip.device)
        all_pairs = AllPairs(network, maps, 4, budget, together)
        readout = Readout(grid(height, width), (height, width), Framing(height, width), clip.device)
        everything = range(count)
        told = all_pairs.tracks(everything, [readout.pixels] * count, [everything] * count)
        for query, target, values in told:
            found[query, target] = readout.tracks(values).float().cpu()
    return found


@dataclass(frozen=True)
class Part:
    """What one part of a window costs: floating-point operations, seconds, and its share of an iteration (0 where
    it is done once a window or frame)."""

    name: str
    flop: float
    seconds: float
    share: float


def parts(network: AllTracker, clip: Tensor, device: torch.device) -> list[Part]:
    """The parts of one iteration of one 16-slot window."""
    maps = network.encode(clip[:16])
    state, context = network.start(maps[:1], 16)

    def heads() -> None:
        network.flow_head(block.final_conv(x))
        network.visconf_head(x)

    levels = [p[None] for p in pyramid(maps)]
    block = network.update_block
    correlation = Correlation(maps[:1], levels, 1 << 62)
    lookup = correlation.lookup(own_cells(state.flows) + state.flows).to(network.dtype)
    flows = state.flows.to(network.dtype)
    motion = block.motion_encoder(lookup, flows)
    whole = torch.cat([state.feat, context, motion, flows, flows], 1)
    x = block.compressor(whole)
    steps: dict[str, tuple[Callable[[], object], float]] = {
        "encoder, a frame": (lambda: network.encode(clip[:1]), 0),
        "correlations, a window": (lambda: Correlation(maps[:1], levels, 1 << 62), 0.25),
        "lookup": (lambda: correlation.lookup(own_cells(state.flows) + state.flows), 1),
        "motion encoder": (lambda: block.motion_encoder(lookup, flows), 1),
        "compressor": (lambda: block.compressor(whole), 1),
        "time blocks": (lambda: [block.refine[k](x, 16) for k in (0, 2, 4)], 1),
        "space blocks": (lambda: [block.refine[k](x) for k in (1, 3, 5)], 1),
        "final convolution, heads": (heads, 1),
    }
    rows = []
    for name, (run, weight) in steps.items():
        with FlopCounterMode(display=False) as counter:
            run()
        sync(device)
        started = time.perf_counter()
        for _ in range(3):
            run()
        sync(device)
        rows.append((name, counter.get_total_flops(), (time.perf_counter() - started) / 3, weight))
    total = sum(seconds * weight for _, _, seconds, weight in rows)
    return [Part(name, flop, s, s * weight / total) for name, flop, s, weight in rows]


def print_parts(table: Sequence[Part]) -> None:
    """GFLOP, milliseconds and share of each part."""
    print(f"\n{'part':28} {'GFLOP':>8} {'ms':>8} {'TFLOP/s':>8} {'of an iteration':>16}")
    for part in table:
        share = f"{part.share:.0%}" if part.share else ""
        speed = part.flop / part.seconds / _TERA
        print(
            f"{part.name:28} {part.flop / _GIGA:8.1f} {part.seconds * 1e3:8.2f} {speed:8.2f} {share:>16}"
        )


def _spaced(count: int, wanted: int | None) -> Sequence[int]:
    if wanted is None or wanted >= count:
        return range(count)
    return [int(k) for k in np.unique(np.linspace(0, count - 1, wanted).round())]


def main() -> None:
    """Print both sides, their ratio and how far apart their numbers are."""
    arguments = _arguments()
    height, width = map(int, arguments.size.split("x"))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clip = video(arguments.frames, height, width).to(device)
    slow = alltracker(arguments.variant).to(device)
    InferenceOptions("32-true", False, False).prepare(slow, device)
    fast = alltracker(arguments.variant)
    running = InferenceOptions(arguments.precision, False, arguments.compile)
    running.prepare(fast, device)
    block = fast.update_block
    heads = (fast.flow_head, fast.visconf_head)
    running.compile_modules(block.motion_encoder, *block.refine, *heads)
    print(
        f"{arguments.variant}, {arguments.frames} frames of {height}x{width}, {device.type}, torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads"
    )
    # each side is warmed up: kernels, memory, compilation
    for _ in plain(slow, clip[:3], 0):
        pass
    chosen = _spaced(arguments.frames, arguments.plain_queries)
    encodes = Encodes(slow)
    answers: dict[tuple[int, int], Tensor] = {}
    taken = busy = 0.0
    with Peak(device) as peak:
        for query in chosen:
            started, working = time.perf_counter(), time.process_time()
            told = list(plain(slow, clip, query))
            sync(device)
            taken += time.perf_counter() - started
            busy += time.process_time() - working
            # kept as read at the grid: whole maps of all pairs would fill the memory
            answers |= {(query, t): v[:2, ::_RATE, ::_RATE].flatten(1).T.cpu() for t, v in told}
            del told
    taken, busy = (t * arguments.frames / len(chosen) for t in (taken, busy))
    scaled = "" if len(chosen) == arguments.frames else f" (from {len(chosen)} query frames)"
    print(f"{'':8} {'seconds':>9} {'processor':>9} {'encodes':>9} {'peak MB':>9}")
    row = "{:8} {:9.1f} {:9.1f} {:9d} {:9.0f}{}"
    print(row.format("plain", taken, busy, encodes.count, peak.most, scaled), flush=True)

    how = (arguments.together, arguments.memory_gb)
    engine(fast, running, clip[: 17 if arguments.compile else 3], *how)
    sync(device)
    encodes = Encodes(fast)
    with Peak(device) as peak:
        started, working = time.perf_counter(), time.process_time()
        found = engine(fast, running, clip, *how)
        sync(device)
        quick, worked = time.perf_counter() - started, time.process_time() - working
    print(row.format("engine", quick, worked, encodes.count, peak.most, ""))
    points = torch.from_numpy(grid(height, width))
    off = [(found[pair][:, :2] - points - flow).abs() for pair, flow in answers.items()]
    most, mean = max(float(o.max()) for o in off), float(np.mean([float(o.mean()) for o in off]))
    print(f"ratio {taken / quick:.2f}, of processor time {busy / worked:.2f}")
    print(f"apart {most:.1e} px at most, {mean:.1e} px in the mean")
    if arguments.parts:
        with running.inference(device):
            print_parts(parts(fast, clip, device))


if __name__ == "__main__":
    main()
