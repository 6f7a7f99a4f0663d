"""What many clips will take, from the record of a run of one or a few that are like them.

    python -m benchmarks.many_model outputs/runs/latest --clips 100000 --frames 100

Prints for each stage the seconds, bytes and files of a clip, and of all clips the hours of one worker, bytes, files
and inodes (of a result its folder and its seal, too; a dataset's hard links take none). Tracks grow with the square of
the frames, all else with the frames; ``--window K`` counts tracks of frames at most K apart. Seconds are those of the
machine that the run was made on: try a few clips on the GPU that will be used.
"""

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

from dynprep.artefacts.tracks import Pairs, PairTracks
from dynprep.files import human_bytes
from dynprep.run_file import RUN_FILE

_SEAL = 1  # files of a result beside its own
_HOUR = 3600


@dataclass
class Cost:
    """What a stage takes of a clip on average."""

    seconds: float = 0.0
    bytes: float = 0.0
    files: float = 0.0
    results: float = 0.0


def _costs(record: dict, frames: int, pairs: Pairs) -> dict[str, Cost]:  # type: ignore[type-arg]
    """By stage, scaled from the run's frames to ``frames``."""
    costs: dict[str, Cost] = {}
    scenes = record["scenes"]
    for name, scene in scenes.items():
        had = int(re.match(r"\d+", record["sizes"][name])[0])  # type: ignore[index]
        for stage, result in scene["results"].items():
            growth = frames / had
            if stage == PairTracks.name:
                growth = pairs.count(frames) / had**2
            cost = costs.setdefault(stage, Cost())
            cost.seconds += (result["seconds"] or 0.0) * growth / len(scenes)
            cost.bytes += result["bytes"] * growth / len(scenes)
            cost.files += result["files"] * growth / len(scenes)
            cost.results += 1 / len(scenes)
    return costs


def main() -> None:
    """Print the stages of a clip, and what all clips take."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--window", type=int)
    named = parser.parse_args()
    record = json.loads((named.run / RUN_FILE).read_text())
    costs = _costs(record, named.frames, Pairs(window=named.window))
    print(f"{'stage':<16} {'s a clip':>9} {'MB a clip':>10} {'files a clip':>13}")
    for stage, cost in costs.items():
        print(f"{stage:<16} {cost.seconds:>9.2f} {cost.bytes / 1e6:>10.2f} {cost.files:>13.1f}")
    seconds = sum(cost.seconds for cost in costs.values())
    size = sum(cost.bytes for cost in costs.values())
    files = sum(cost.files for cost in costs.values())
    results = sum(cost.results for cost in costs.values())
    inodes = files + results * (1 + _SEAL)
    hours = seconds * named.clips / _HOUR
    print(
        f"\n{named.clips:,} clips of {named.frames} frames: {hours:,.0f} hours of one worker, "
        f"{human_bytes(size * named.clips)} in {files * named.clips:,.0f} files, {inodes * named.clips:,.0f} inodes, "
        f"{results * named.clips:,.0f} results"
    )


if __name__ == "__main__":
    main()
