"""Several processes with one store, and with one dataset."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.faults.case import Case, fault_of_end
from tests.faults.whole import fault_of_dataset, forked
from tests.processes import Forked

_MORE = 150.0  # MB
_POWER = 1.6  # of the number of frames; 1 is linear
_LEAST = 3.0  # seconds: what is shorter is no burden
_TOOLS = (("ls",), ("du",), ("verify",), ("gc", "--yes"))


def together(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """Two to four runs of one scene at once, into one dataset or several, while others look through the store."""
    for number in range(count):
        folder = room / f"{number}"
        runs = rng.randint(2, 4)
        apart = rng.random() < 0.5
        processes = []
        for k in range(runs):
            own = folder / f"{k}"
            own.mkdir(parents=True)
            where = (f"store_dir={folder / 'store'}", f"hydra.run.dir={own / 'run'}")
            dataset = own if apart else folder
            more = rng.choice(((), ("trainer.readers=2",)))
            processes.append(forked(own, *where, f"dataset_dir={dataset / 'dataset'}", *more))
        tool = rng.choice(_TOOLS)
        looked = []
        while any(process.poll() is None for process in processes):
            if (folder / "store" / "dynprep-store.json").exists():
                looked.append(Forked(folder, "store", "--store", "store", *tool).wait())
            else:
                time.sleep(0.05)
        ends = [process.wait() for process in processes]
        faults = [
            fault_of_end(e.returncode, e.stdout, e.stderr) or e.stderr for e in ends if e.returncode
        ]
        faults += [f for t in looked if (f := fault_of_end(t.returncode, t.stdout, t.stderr))]
        for place in {folder / f"{k}" if apart else folder for k in range(runs)}:
            if (fault := fault_of_dataset(place)) is not None:
                faults.append(fault)
        name = f"{runs} runs, {'datasets apart' if apart else 'one dataset'}, {len(looked)} times {tool[0]}"
        yield Case(f"{name}, number {number}", "; ".join(faults) or None)


def clips(rng: Random, count: int, room: Path) -> Iterator[Case]:
    """Long clips: memory that stays as it is for a short one, and no stage whose time grows out of proportion."""
    from benchmarks.scale import exponent, run, write_clip

    for number in range(count):
        short, long = 40, rng.choice((160, 240))
        records = []
        for frames in (short, long):
            work = room / f"{number}-{frames}"
            write_clip(work / "clip", frames, 32, 48)
            records.append(run(work / "clip", work))
        memory = [float(str(record["peak_memory"])) for record in records]
        more = (memory[1] - memory[0]) / 1e6
        yield Case(
            f"memory at {long} frames",
            f"{more:.0f} MB more than at {short}" if more > _MORE else None,
        )
        times = [{s["name"]: s["seconds"] for s in record["stages"]} for record in records]  # type: ignore[attr-defined]
        for stage in times[0]:
            p = exponent((short, long), [t[stage] for t in times])
            slow = p is not None and p > _POWER and times[1][stage] > _LEAST
            yield Case(
                f"time of {stage} at {long} frames",
                f"grows with the power {p:.1f}" if slow else None,
            )
