"""Object masks against labels, for every clip of a folder that is laid out as DAVIS is.

    python -m benchmarks.masks DAVIS_FOLDER
    python -m benchmarks.masks DAVIS_FOLDER masks=propagate --first-frame
    python -m benchmarks.masks DAVIS_FOLDER --clips dog,goat masks.relative=0.4

DAVIS_FOLDER holds ``JPEGImages/480p/CLIP`` and ``Annotations/480p/CLIP``, or ``CLIP/images`` and ``CLIP/masks``.
Each clip is a run of ``dynprep stages=[masks]`` with the given overrides, as a user starts it. J and F are those of
Perazzi et al. (2016) over all frames; flicker is how much more a mask changes from frame to frame than the label does,
as mean of 1 - J of neighbours, below 0 where it is steadier; T is the temporal stability of Perazzi et al., the smaller
the steadier, and in brackets the labels' own; seconds are those of the stage. With ``--first-frame`` the
label of the first frame is given as a prompt, and that frame is left out of J and F.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynprep.arrays import BoolArray
from dynprep.metrics.contours import temporal_stability
from dynprep.metrics.regions import boundary_f, jaccard
from dynprep.scene.prompts import drawn

_ROOT = Path(__file__).parents[1]
_WIDEST = 22  # letters of a clip's name that are shown


@dataclass(frozen=True)
class Clip:
    """A clip's name, its frames and its labels."""

    name: str
    images: Path
    labels: Path


@dataclass(frozen=True)
class Scores:
    """J and F in 0..1, flicker, T of the masks and of the labels, seconds of the stage."""

    j: float
    f: float
    flicker: float
    t: float
    labels_t: float
    seconds: float


def clips(folder: Path) -> list[Clip]:
    """The clips of a folder laid out as DAVIS is."""
    pairs = [
        (path, folder / "Annotations" / "480p" / path.name)
        for path in (folder / "JPEGImages" / "480p").glob("*")
    ]
    pairs += [(path, path.parent / "masks") for path in folder.glob("*/images")]
    complete = [
        Clip(labels.parent.name if labels.name == "masks" else labels.name, images, labels)
        for images, labels in sorted(pairs)
        if labels.is_dir()
    ]
    if not complete:
        sys.exit(
            f"{folder}: neither JPEGImages/480p/CLIP with Annotations/480p/CLIP nor CLIP/images with CLIP/masks"
        )
    return complete


def _flicker(masks: Sequence[BoolArray]) -> float:
    return float(np.mean([1 - jaccard(a, b) for a, b in zip(masks, masks[1:], strict=False)]))


def scores(clip: Clip, overrides: Sequence[str], first_frame: bool, folder: Path) -> Scores:
    """Run one clip and hold its masks against the labels."""
    run = folder / "runs" / clip.name
    arguments = [
        "stages=[masks]",
        "masks=motion",
        "logger=none",
        "data=frames",
        f"data.path={clip.images}",
        *overrides,
    ]
    labels = sorted(clip.labels.glob("*.png"))
    if first_frame:
        prompts = folder / f"{clip.name}.json"
        entry = {"object": 1, "frame": 0, "mask": str(labels[0])}
        # the scene is called as the folder of its frames, or as that folder's parent
        prompts.write_text(json.dumps({name: [entry] for name in {clip.name, clip.images.name}}))
        arguments.append(f"masks.prompts={prompts}")
    arguments += [f"hydra.run.dir={run}", f"store_dir={folder / 'store'}"]
    done = subprocess.run(
        [sys.executable, str(_ROOT / "run.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    (seconds,) = [stage["seconds"] for stage in record["stages"] if stage["name"] == "masks"]
    (written,) = (run / "dataset").glob("*/masks")
    masks = [drawn(path) for path in sorted(written.glob("*.png"))]
    truth = [drawn(path) for path in labels]
    if len(masks) != len(truth):
        sys.exit(f"{clip.labels}: {len(truth)} labels, {clip.images} has {len(masks)} frames")
    pairs = list(zip(masks, truth, strict=True))[1 if first_frame else 0 :]
    return Scores(
        float(np.mean([jaccard(a, b) for a, b in pairs])),
        float(np.mean([boundary_f(a, b) for a, b in pairs])),
        _flicker(masks) - _flicker(truth),
        temporal_stability(masks),
        temporal_stability(truth),
        seconds,
    )


def _row(name: str, row: Sequence[float]) -> str:
    j, f, flicker, t, labels_t, seconds = row
    shares = f"{j:7.3f} {f:7.3f} {flicker:8.3f} {t:7.3f} ({labels_t:.3f})"
    return f"{name[:_WIDEST]:{_WIDEST}} {shares} {seconds:8.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--clips", help="only these, separated by commas")
    parser.add_argument("--first-frame", action="store_true", help="the first label is a prompt")
    parser.add_argument(
        "--work", type=Path, help="folder in which runs and store stay; a temporary one without"
    )
    options = parser.parse_intermixed_args()
    chosen = clips(options.folder.resolve())
    if options.clips:
        names = options.clips.split(",")
        missing = sorted(set(names) - {clip.name for clip in chosen})
        if missing:
            sys.exit(f"--clips: {options.folder} has no {', '.join(missing)}")
        chosen = [clip for clip in chosen if clip.name in names]
    rows = []
    print(
        f"{'clip':{_WIDEST}} {'J':>7} {'F':>7} {'flicker':>8} {'T':>7} {'(labels)':>7} {'seconds':>7}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        for clip in chosen:
            one = scores(clip, options.overrides, options.first_frame, work)
            rows.append(list(astuple(one)))
            print(_row(clip.name, rows[-1]), flush=True)
    print(_row("mean", np.nanmean(rows, 0).tolist()))


if __name__ == "__main__":
    main()
