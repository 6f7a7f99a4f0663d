"""Size and speed of packed tracks against a file for every pair.

    python -m benchmarks.packing OUT/dog

The folder is a scene of a dataset whose tracks are not packed. Every query frame is packed, written, read back and held
against what was packed; the files for every pair are written and read in the same run. Prints megabytes, seconds to
write and to read all pairs, and the largest error of a coordinate.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dynprep
from dynprep.artefacts.tracks import PairTracks
from dynprep.packing.codec import pack, unpack
from dynprep.packing.kinds import CONTAINERS, PackKind


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _row(name: str, folder: Path, written: float, read: float, error: float) -> str:
    size = sum(path.stat().st_size for path in folder.iterdir())
    count = len(list(folder.iterdir()))
    return f"{name:<6} {count:>6} {size / 1e6:>9.1f} {written:>8.1f} {read:>8.1f} {error:>10.5f}"


def _pairs(tracks: PairTracks, folder: Path) -> str:
    def write() -> None:
        for query in tracks.queries:
            for target in tracks.targets(query):
                np.save(folder / f"{query}_{target}.npy", tracks.written(query, target))

    def read() -> None:
        for path in folder.iterdir():
            np.load(path)

    return _row("npy", folder, _timed(write), _timed(read), 0.0)


def _packed(tracks: PairTracks, kind: PackKind, folder: Path) -> str:
    container, form, stems = CONTAINERS[kind], tracks.form, tracks.frames.stems
    errors: list[float] = []

    def write() -> None:
        for query in tracks.queries:
            pixels = tracks.query_pixels(query)
            targets = {
                stems[target]: pack(tracks.written(query, target), pixels, form.scores)
                for target in tracks.targets(query)
            }
            content = container.content(pixels, form.scores, targets)
            (folder / f"{stems[query]}{container.suffix}").write_bytes(content)

    def each(use: Callable[[int, int, np.ndarray], None]) -> None:
        for query in tracks.queries:
            path = folder / f"{stems[query]}{container.suffix}"
            pixels = container.query(path)
            for target in tracks.targets(query):
                packed = container.target(path, stems[target])
                use(query, target, unpack(packed, pixels, form.scores, form.dtype))

    def compare(query: int, target: int, back: np.ndarray) -> None:
        off = np.abs(back[:, :2].astype(np.float64) - tracks.written(query, target)[:, :2])
        errors.append(float(off.max(initial=0)))

    written = _timed(write)
    read = _timed(lambda: each(lambda *_: None))
    each(compare)
    return _row(kind, folder, written, read, max(errors))


def main() -> None:
    """Print a row for every pair's own file, and one for each kind of packed file."""
    tracks = dynprep.open(Path(sys.argv[1])).read(PairTracks)
    print("kind    files        MB  write s   read s   error px")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "npy").mkdir()
        print(_pairs(tracks, Path(name) / "npy"), flush=True)
        for kind in CONTAINERS:
            (Path(name) / kind).mkdir()
            print(_packed(tracks, kind, Path(name) / kind), flush=True)


if __name__ == "__main__":
    main()
