"""Parity, limits and speed of the networks on a GPU, in one command of less than nine minutes.

    python -m benchmarks.gpu --out gpu.json

Imports torch, numpy, and dynprep's models and stages; neither Hydra nor W&B. Weights are made up and of the
published architectures. ``--rehearse`` runs everything at tiny sizes, on a CPU too.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.gpu.attention import attention
from benchmarks.gpu.depth import depth
from benchmarks.gpu.memory import memory
from benchmarks.gpu.parity import parity
from benchmarks.gpu.row import Row
from benchmarks.gpu.sizes import REAL, TINY, Sizes
from benchmarks.gpu.together import together
from benchmarks.gpu.tracking import roofline, tracking

Part = Callable[[torch.device, Sizes], Iterator[Row]]
PARTS: dict[str, Part] = {
    "parity": parity,
    "attention": attention,
    "memory": memory,
    "together": together,
    "tracking": tracking,
    "depth": depth,
    "roofline": roofline,
}


def main() -> int:
    """Print each part as it goes, and a table last; the exit status is 1 where something failed or was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes, on a CPU too")
    parser.add_argument("--minutes", type=float, default=9.0, help="parts begin no later than that")
    parser.add_argument("--out", type=Path, help="a JSON file for the table")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type != "cuda" and not arguments.rehearse:
        print("benchmarks.gpu: PyTorch sees no GPU here; --rehearse runs tiny sizes on the CPU")
        return 1
    sizes = TINY if arguments.rehearse else REAL
    card = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    title = f"{card}, torch {torch.__version__}, CUDA {torch.version.cuda}"
    began = time.monotonic()
    rows = [Row("device", title)]
    for name in arguments.only:
        if time.monotonic() - began > 60 * arguments.minutes:
            rows.append(Row(name, "no time was left", False))
            continue
        rows += _rows(name, device, sizes)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    seconds = time.monotonic() - began
    print(f"\n{title}: {seconds:.0f} s")
    for row in rows[1:]:
        print(row.line())
    if arguments.out:
        table = {"device": title, "seconds": seconds, "rows": [asdict(row) for row in rows[1:]]}
        arguments.out.write_text(json.dumps(table, indent=1) + "\n")
    return int(any(row.good is False for row in rows))


def _rows(name: str, device: torch.device, sizes: Sizes) -> list[Row]:
    """The rows of one part; what fails is a row of its own, so that the other parts still run."""
    began = time.monotonic()
    rows: list[Row] = []
    try:
        for row in PARTS[name](device, sizes):
            rows.append(row)
            print(row.line(), flush=True)
    except (
        Exception
    ) as error:  # a lent machine's minutes are few: the rest is measured all the same
        traceback.print_exc()
        rows.append(Row(name, f"failed: {type(error).__name__}: {str(error)[:60]}", False))
    print(f"[{name}: {time.monotonic() - began:.0f} s]", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
