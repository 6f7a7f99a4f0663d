"""Many small clips through all stages, in two shards side by side on this machine.

    python -m benchmarks.many 10 100 1000

For each number: clips of 8 frames of 96x64 are made, all different, and run with ``data.shard=range:2``; then the same
command again, which finds that all is done. Prints clips an hour, the share of time that no stage takes, the most
memory of a shard, how long the second time took, and the bytes, files and folders of the store for a clip.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from dynprep.run_file import find_runs

_RUN = Path(__file__).resolve().parents[1] / "run.py"
_FRAMES, _HEIGHT, _WIDTH, _STEP = 8, 64, 96, 2
_SHARDS = 2
_HEAD = "clips   clips/h  no stage  memory of a shard  again     kB a clip  files a clip"


def _texture(random: np.random.Generator, width: int) -> np.ndarray:
    """A smooth picture (H, W, 3) that optical flow can follow."""
    small = random.uniform(0, 255, (_HEIGHT // 6 + 2, width // 6 + 2, 3)).astype(np.float32)
    return cv2.resize(small, (width, _HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def _clip(path: Path, seed: int) -> None:
    """A camera that slides along a wall with a nearer strip at its foot."""
    random = np.random.default_rng(seed)
    width = _WIDTH + 3 * _STEP * _FRAMES
    far, near = _texture(random, width), _texture(random, width)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "10", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for k in range(_FRAMES):
            frame = far[:, _STEP * k : _STEP * k + _WIDTH].copy()
            at = 3 * _STEP * k
            frame[2 * _HEIGHT // 3 :] = near[2 * _HEIGHT // 3 :, at : at + _WIDTH]
            picture = av.VideoFrame.from_ndarray(frame.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _run(folder: Path, name: str) -> float:
    """Seconds of the whole command."""
    began = time.perf_counter()
    command = [
        *(sys.executable, str(_RUN), "-m", "data=video", "data.path=clips", f"data.shard=range:{_SHARDS}"),
        *("hydra/launcher=parallel", f"hydra.launcher.n_jobs={_SHARDS}", f"hydra.sweep.dir={name}"),
        *("logger=none", "report.page=false", "compare.page=false", "dataset_dir=datasets", "store_dir=store"),
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def _records(folder: Path) -> Iterator[dict[str, object]]:
    for run in find_runs(folder):
        yield json.loads((run / "run.json").read_text())


def _measure(count: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        for k in range(count):
            _clip(folder / "clips" / f"{k:05d}.mp4", k)
        seconds = _run(folder, "first")
        records = list(_records(folder / "first"))
        stages = sum(stage["seconds"] for r in records for stage in r["stages"])  # type: ignore[attr-defined]
        memory = max(float(r["peak_memory"]) for r in records)  # type: ignore[arg-type]
        again = _run(folder, "second")
        files = [path for path in (folder / "store").rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        share = 1 - stages / _SHARDS / seconds
        return (
            f"{count:>5}  {count / seconds * 3600:>8.0f}  {share:>7.0%}  {memory / 1e9:>14.2f} GB  "
            f"{again:>6.1f} s  {size / count / 1e3:>8.0f}  {len(files) / count:>10.0f}"
        )


def main() -> None:
    """Print a line for each number of clips."""
    print(_HEAD)
    for count in map(int, sys.argv[1:] or ["10", "100", "1000"]):
        print(_measure(count), flush=True)


if __name__ == "__main__":
    main()
