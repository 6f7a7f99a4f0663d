"""A store of many results: how long the commands that look after it take.

    python -m benchmarks.store 1000 10000

For each number of scenes: a store is made that holds 13 results a scene of four small files each, which 64 runs have
used, of which one is gone. Prints the seconds that ``dynprep store stat``, ``ls``, ``du`` and ``gc`` take, from the
start of the command to its end, and the milliseconds that the store's gate and a result's lock take.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dynprep.run_file import RUN_FILE
from dynprep.store import Recipe, Store
from dynprep.store.references import remember
from dynprep.store.result import SEAL
from dynprep.store.seal import Item, seal_json

_RUN = Path(__file__).resolve().parents[1] / "run.py"
_STAGES, _FILES, _RUNS = 13, 4, 64
_CONTENT = b"x" * 100
_FACT = (len(_CONTENT), hashlib.sha256(_CONTENT).hexdigest())


def _fill(root: Path, scenes: int) -> Store:
    """A store with the results of that many scenes; the last of its runs is gone."""
    store = Store(root / "store")
    for number in range(_RUNS):
        used: dict[str, dict[str, str]] = {}
        for scene in range(number, scenes, _RUNS):
            keys = used.setdefault(f"scene{scene:06d}", {})
            for stage in range(_STAGES):
                recipe = Recipe(
                    f"stage{stage:02d}",
                    "made",
                    options={"scene": scene},
                    inputs=dict([*keys.items()][-1:]),
                )
                folder = store.root / recipe.stage / recipe.key
                folder.mkdir(parents=True)
                names = [f"{k:05d}.npy" for k in range(_FILES)]
                for name in names:
                    (folder / name).write_bytes(_CONTENT)
                items = [Item(name, {name: _FACT}) for name in names]
                seal = seal_json(recipe, {}, items, {"versions": {}, "seconds": 1.0})
                (folder / SEAL).write_text(json.dumps(seal))
                keys[recipe.stage] = recipe.key
        run = root / "runs" / f"{number:03d}"
        run.mkdir(parents=True)
        if number < _RUNS - 1:
            (run / RUN_FILE).write_text(json.dumps({"started": float(number)}))
        remember(store, run, float(number), root / "datasets", used)
    return store


def _seconds(store: Store, *words: str) -> float:
    began = time.perf_counter()
    command = [sys.executable, str(_RUN), "store", "--store", str(store.root), *words]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def _locks(store: Store) -> float:
    """Seconds that the gate and a result's lock take, of which there is a file each."""
    began = time.perf_counter()
    with store.gate(), store.lock_named("stage00", "0" * 32).hold():
        pass
    return time.perf_counter() - began


def main() -> None:
    """Print a line for each number of scenes."""
    print("scenes   results    stat s    ls s    du s    gc s   locks ms")
    for scenes in map(int, sys.argv[1:] or ["1000", "10000"]):
        with tempfile.TemporaryDirectory() as name:
            store = _fill(Path(name), scenes)
            times = [
                _seconds(store, *words) for words in (["stat"], ["ls"], ["du"], ["gc", "--yes"])
            ]
            shown = "  ".join(f"{seconds:>6.1f}" for seconds in times)
            print(
                f"{scenes:>6}  {scenes * _STAGES:>8}    {shown}  {_locks(store) * 1e3:>9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
