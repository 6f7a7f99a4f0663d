"""Check a dataset folder against what the trainers that read it expect.

    python -m tests.contract SCENE --pairs all --need images,masks,aligned

It prints one line for each fault and exits with 0 if there is none. It is written without dynprep's own
code, so that a wrong idea of the format there is not repeated here.
"""

import argparse
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOLDERS = {
    "masks": "masks",
    "metric": "unidepth_disp",
    "mono": "depth_anything_v2",
    "aligned": "aligned_depth_anything_v2",
    "marigold": "marigold/depth_npy",
    "tracks": "alltracker",
}
NEEDS = ("images", *FOLDERS)
_INTRINSICS = "unidepth_intrins.json"
_SUFFIXES = {".png", ".jpg", ".jpeg"}
_LEAST, _MOST = 1e-6, 1e6  # disparity of metric depths, 1/m
_SHOWN = 3  # examples in a fault's line

Pairs = int | Literal["all"]
Size = tuple[int, int]  # height, width


def faults(
    scene: Path, need: Collection[str] = NEEDS, pairs: Pairs = "all", seed: int = 0
) -> list[str]:
    """Return one line for each fault of the dataset folder ``scene``.

    ``need`` names the parts that have to be there and are checked, and ``pairs`` says how many query
    frames of the tracks are read in full: these are drawn with ``seed``.
    """
    if unknown := set(need) - set(NEEDS):
        raise ValueError(f"need knows {', '.join(NEEDS)}, not {', '.join(sorted(unknown))}")
    images = _images(scene)
    if not images:
        return [f"{scene}/images: no frames"]
    stems = [path.stem for path in images]
    lines = [*_image_name_faults(scene, images), *_image_content_faults(scene, images)]
    with Image.open(images[0]) as image:
        size = image.height, image.width
    for stem in stems:
        lines += _frame_faults(scene, stem, size, need)
    if "metric" in need:
        lines += _intrinsics_faults(scene / _INTRINSICS, stems, size)
    if "tracks" in need:
        lines += _tracks_faults(
            scene / FOLDERS["tracks"], stems, size, _queries(stems, pairs, seed)
        )
    return lines


def _images(scene: Path) -> list[Path]:
    return sorted(p for p in (scene / "images").glob("*") if p.suffix.lower() in _SUFFIXES)


def _image_name_faults(scene: Path, images: Sequence[Path]) -> Iterator[str]:
    folder, stems = scene / "images", [path.stem for path in images]
    if len({path.suffix for path in images}) > 1:
        yield f"{folder}: more than one suffix (trainers take the first one's for all)"
    if others := sorted({path.name for path in folder.iterdir()} - {path.name for path in images}):
        yield f"{folder}: holds other files too, like {others[:_SHOWN]} (trainers take all for frames)"
    if not all(stem.isdigit() for stem in stems) or len({len(stem) for stem in stems}) > 1:
        yield f"{folder}: stems are not zero-padded numbers of one width"
    elif [int(stem) for stem in stems] != list(range(len(stems))):
        yield f"{folder}: frames do not count from 0 to {len(stems) - 1}"


def _image_content_faults(scene: Path, images: Sequence[Path]) -> Iterator[str]:
    sizes: set[Size] = set()
    for path in images:
        with Image.open(path) as image:
            sizes.add((image.height, image.width))
            if image.mode != "RGB":
                yield f"{path}: mode {image.mode}, not RGB"
    if len(sizes) > 1:
        yield f"{scene}/images: sizes differ: {sorted(sizes)}"


def _frame_faults(scene: Path, stem: str, size: Size, need: Collection[str]) -> Iterator[str]:
    """Check the masks and maps of one frame."""
    if "masks" in need:
        yield from _mask_faults(scene / FOLDERS["masks"] / f"{stem}.png", size)
    if "metric" in need:
        yield from _map_faults(scene / FOLDERS["metric"] / f"{stem}.npy", size, _LEAST, _MOST)
    if "mono" in need:
        yield from _mono_faults(scene / FOLDERS["mono"] / f"{stem}.png", size)
    if "aligned" in need:
        yield from _map_faults(scene / FOLDERS["aligned"] / f"{stem}.npy", size, 0.0, _MOST)
    if "marigold" in need:
        yield from _map_faults(scene / FOLDERS["marigold"] / f"{stem}_pred.npy", size, 0.0, 1.0)


def _mask_faults(path: Path, size: Size) -> Iterator[str]:
    if not path.is_file():
        yield f"{path}: missing"
        return
    with Image.open(path) as image:
        if (image.height, image.width) != size:
            yield f"{path}: {image.height}x{image.width}, the image is {size[0]}x{size[1]}"


def _mono_faults(path: Path, size: Size) -> Iterator[str]:
    """Relative disparity fills all 16 bits."""
    if not path.is_file():
        yield f"{path}: missing"
        return
    with Image.open(path) as image:
        values = np.array(image)
    if values.dtype not in (np.uint16, np.int32):
        yield f"{path}: {values.dtype}, not 16 bits"
    if values.shape != size:
        yield f"{path}: shape {values.shape}, the image has {size}"
    if int(values.min()) != 0 or int(values.max()) != 65535:
        yield f"{path}: range {values.min()}..{values.max()}, not 0..65535"


def _map_faults(path: Path, size: Size, low: float, high: float) -> Iterator[str]:
    """A map is float, as large as the image, finite, within [low, high], and not constant."""
    if not path.is_file():
        yield f"{path}: missing"
        return
    values = _array(path)
    if isinstance(values, str):
        yield values
        return
    if values.dtype not in (np.float32, np.float64):
        yield f"{path}: dtype {values.dtype}, not float32"
    if values.shape != size:
        yield f"{path}: shape {values.shape}, the image has {size}"
    if not np.isfinite(values).all():
        yield f"{path}: holds NaN or infinity"
    elif values.size:
        if values.min() < low or values.max() > high:
            span = f"[{values.min():.4g}, {values.max():.4g}]"
            yield f"{path}: range {span} leaves [{low:g}, {high:g}]"
        if float(values.std()) == 0:
            yield f"{path}: constant"


def _intrinsics_faults(path: Path, stems: Sequence[str], size: Size) -> Iterator[str]:
    if not path.is_file():
        yield f"{path}: missing"
        return
    intrinsics = json.loads(path.read_text())
    if sorted(intrinsics) != list(stems):
        yield f"{path}: keys are not the stems of the frames"
    for stem, k in intrinsics.items():
        if len(k) != 4 or not all(np.isfinite(k)) or min(k[:2]) <= 0:
            yield f"{path}: {stem}: {k} is no [fx, fy, cx, cy] in pixels"
        elif not (0 < k[2] < size[1] and 0 < k[3] < size[0]):
            yield f"{path}: {stem}: principal point outside the image"


def _queries(stems: Sequence[str], pairs: Pairs, seed: int) -> list[str]:
    if pairs == "all":
        return list(stems)
    rng = np.random.default_rng(seed)
    return [stems[k] for k in sorted(rng.choice(len(stems), min(pairs, len(stems)), replace=False))]


def _tracks_faults(
    folder: Path, stems: Sequence[str], size: Size, queries: Sequence[str]
) -> Iterator[str]:
    """Check that there is a file for every ordered pair, and the files of some query frames."""
    if not folder.is_dir():
        yield f"{folder}: missing"
        return
    wanted = [f"{query}_{target}" for query in stems for target in stems]
    present = {path.stem for path in folder.glob("*.npy")}
    if missing := [pair for pair in wanted if pair not in present]:
        yield f"{folder}: {len(missing)} of {len(wanted)} pairs missing, like {missing[:_SHOWN]}"
    if extra := sorted(present - set(wanted)):
        yield f"{folder}: {len(extra)} files name no pair of frames, like {extra[:_SHOWN]}"
    for query in queries:
        yield from _query_faults(
            folder, query, [t for t in stems if f"{query}_{t}" in present], size
        )


def _query_faults(folder: Path, query: str, targets: Sequence[str], size: Size) -> Iterator[str]:
    """All targets of one query frame hold the same points, and the frame itself holds the grid."""
    points = None
    for target in targets:
        path = folder / f"{query}_{target}.npy"
        tracks = _array(path)
        if isinstance(tracks, str):
            yield tracks
            continue
        if tracks.ndim != 2 or tracks.shape[1] != 4:
            yield f"{path}: shape {tracks.shape}, not (N, 4)"
            continue
        points = len(tracks) if points is None else points
        if len(tracks) != points:
            yield f"{path}: {len(tracks)} points, other targets of {query} have {points}"
        yield from _track_value_faults(path, tracks)
        if target == query:
            yield from _grid_faults(path, tracks, size)


def _track_value_faults(path: Path, tracks: NDArray[Any]) -> Iterator[str]:
    if tracks.dtype != np.float32:
        yield f"{path}: dtype {tracks.dtype}, not float32"
    if not np.isfinite(tracks).all():
        yield f"{path}: holds NaN or infinity"
    for column, name in ((2, "occlusion"), (3, "confidence")):
        if not ((tracks[:, column] >= 0) & (tracks[:, column] <= 1)).all():
            yield f"{path}: {name} leaves [0, 1]"


def _grid_faults(path: Path, tracks: NDArray[Any], size: Size) -> Iterator[str]:
    """Query points are a full grid of whole pixels, row after row, and visible."""
    points, (height, width) = tracks[:, :2], size
    if not ((points >= 0) & (points <= [width - 1, height - 1])).all():
        yield f"{path}: query points outside the image"
    if not np.array_equal(points, np.round(points)):
        yield f"{path}: query points are not whole pixels"
    columns, rows = len(np.unique(points[:, 0])), len(np.unique(points[:, 1]))
    if columns * rows != len(points):
        yield f"{path}: query points are no full grid"
    if not np.array_equal(np.lexsort((points[:, 0], points[:, 1])), np.arange(len(points))):
        yield f"{path}: the query grid is not row-major (y outer, x inner)"
    if float(tracks[:, 2].mean()) >= 0.05:
        yield (
            f"{path}: query points called occluded in their own frame (mean "
            f"{tracks[:, 2].mean():.2f}): columns are x, y, occlusion, confidence"
        )


def _array(path: Path) -> NDArray[Any] | str:
    """Return the array in a file, or the fault if it cannot be loaded."""
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return f"{path}: cannot be loaded without pickle: {error}"
    return values


def _pairs(text: str) -> Pairs:
    return "all" if text == "all" else int(text)


def main() -> int:
    """Print the faults of the folder that the command line names; return the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--need", default=",".join(NEEDS), help="parts to check, by commas")
    read = "how many query frames of the tracks to read in full, or all"
    parser.add_argument("--pairs", type=_pairs, default="all", help=read)
    arguments = parser.parse_args()
    try:
        lines = faults(arguments.scene, arguments.need.split(","), arguments.pairs)
    except ValueError as error:
        parser.error(str(error))
    print(*lines, f"{arguments.scene}: {len(lines)} faults", sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
