"""How time and memory grow with the length of a clip.

    python -m benchmarks.scale                       50, 200, 800 and 2,000 frames of 48x32
    python -m benchmarks.scale --frames 50,200 --size 320x192

Every length is a program of its own, with a store of its own. What is printed of growth is the exponent p of a fit
seconds = c · frames^p, stage by stage: 1 is linear. Tracks are of frames at most two apart, since all pairs grow with
the square of the length by themselves.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

_SHORTEST = 0.05  # seconds: what is shorter tells nothing of growth


def write_clip(folder: Path, count: int, height: int, width: int) -> None:
    """A textured plane that the camera slides along and turns away from, with a nearer strip."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    size = (height * 2, width * 2 + 2 * count)
    cell = max(4, height // 6)
    layers = []
    for _ in range(2):
        coarse = rng.uniform(0, 255, (size[0] // cell + 2, size[1] // cell + 2)).astype(np.float32)
        layers.append(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))
    for k in range(count):
        frame = layers[0][:height, k : k + width].copy()
        near = slice(height // 2, height)
        frame[near] = layers[1][near, 2 * k : 2 * k + width]
        grey = np.clip(frame, 0, 255).astype(np.uint8)
        Image.fromarray(np.repeat(grey[..., None], 3, 2)).save(folder / f"{k:05d}.png")


def run(clip: Path, work: Path) -> dict[str, object]:
    """The record of a run on the clip."""
    overrides = [
        "data=frames",
        f"data.path={clip}",
        "flow.pairs=window:2",
        "flow.rate=8",
        "logger=none",
        "report.page=false",
        f"hydra.run.dir={work / 'run'}",
        f"store_dir={work / 'store'}",
        f"dataset_dir={work / 'dataset'}",
    ]
    subprocess.run([sys.executable, "-m", "dynprep", *overrides], check=True, capture_output=True)
    record: dict[str, object] = json.loads((work / "run" / "run.json").read_text())
    return record


def exponent(lengths: Sequence[int], seconds: Sequence[float]) -> float | None:
    """p of the fit seconds = c · frames^p, by least squares of logarithms; None where times are too short."""
    known = [(n, s) for n, s in zip(lengths, seconds, strict=True) if s >= _SHORTEST]
    if len(known) < 2:
        return None
    x, y = np.log(np.array(known, np.float64)).T
    return float(np.polyfit(x, y, 1)[0])


def main() -> None:
    """Run every length and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", default="50,200,800,2000", help="lengths, separated by commas")
    parser.add_argument("--size", default="48x32", help="width x height in pixels")
    named = parser.parse_args()
    lengths = [int(n) for n in named.frames.split(",")]
    width, height = (int(n) for n in named.size.split("x"))
    seconds: dict[str, list[float]] = {}
    memory, wall = [], []
    with tempfile.TemporaryDirectory() as root:
        for count in lengths:
            work = Path(root, str(count))
            write_clip(work / "clip", count, height, width)
            record = run(work / "clip", work)
            for stage in record["stages"]:  # type: ignore[attr-defined]
                seconds.setdefault(stage["name"], []).append(stage["seconds"])
            memory.append(float(record["peak_memory"]) / 1e6)  # type: ignore[arg-type]
            wall.append(float(record["seconds"]))  # type: ignore[arg-type]
            print(f"{count} frames: {wall[-1]:.1f} s, {memory[-1]:.0f} MB at most", flush=True)
    print(f"\n{'frames':<16}" + "".join(f"{n:>9}" for n in lengths) + f"{'growth':>9}")
    for name, row in [*seconds.items(), ("all", wall)]:
        p = exponent(lengths, row)
        print(
            f"{name:<16}"
            + "".join(f"{s:>7.1f} s" for s in row)
            + (f"{p:>9.2f}" if p else f"{'-':>9}")
        )
    print(f"{'memory':<16}" + "".join(f"{m:>6.0f} MB" for m in memory))


if __name__ == "__main__":
    main()
