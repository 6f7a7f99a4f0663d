"""The checker of dataset folders finds what is wrong with one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, SMALL, RunHere
from tests.contract import faults

Damage = Callable[[Path], object]


def _changed(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write a changed copy of an array or picture in its place; the original may be linked."""
    if path.suffix == ".npy":
        values = change(np.load(path))
        path.unlink()
        np.save(path, values)
    else:
        values = change(np.asarray(Image.open(path)))
        path.unlink()
        Image.fromarray(values).save(path)


def _with(index: object, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[index] = value  # type: ignore[index]
        return values

    return change


def _intrinsics(change: Callable[[dict], object]) -> Damage:
    def damage(scene: Path) -> None:
        path = scene / "unidepth_intrins.json"
        values = json.loads(path.read_text())
        change(values)
        path.unlink()
        path.write_text(json.dumps(values))

    return damage


def _pickled(scene: Path) -> None:
    path = scene / "marigold" / "depth_npy" / "00001_pred.npy"
    path.unlink()
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


def _array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    return lambda scene: _changed(scene / name, change)


OWN, PAIR = "alltracker/00001_00001.npy", "alltracker/00001_00002.npy"
DAMAGES: dict[str, tuple[Damage, str]] = {
    "a frame is missing": (lambda s: (s / "images" / "00001.png").unlink(), "do not count"),
    "images hold a note": (lambda s: (s / "images" / "note.txt").write_text("x"), "other files"),
    "a grey frame": (_array("images/00001.png", lambda v: v[..., 0]), "mode L"),
    "a small frame": (_array("images/00001.png", lambda v: v[::2]), "sizes differ"),
    "no mask": (lambda s: (s / "masks" / "00001.png").unlink(), "missing"),
    "a small mask": (_array("masks/00001.png", lambda v: v[::2]), "the image is"),
    "metric NaN": (_array("unidepth_disp/00001.npy", _with((3, 4), np.nan)), "NaN or infinity"),
    "metric zero": (_array("unidepth_disp/00001.npy", _with((3, 4), 0)), "leaves"),
    "no camera of a frame": (_intrinsics(lambda k: k.pop("00001")), "keys are not"),
    "a focal length of 0": (_intrinsics(lambda k: k.update({"00001": [0, 1, 2, 3]})), "is no [fx"),
    "a far principal point": (
        _intrinsics(lambda k: k.update({"00001": [9, 9, 2, 999]})), "principal point",
    ),
    "mono of 8 bits": (
        _array("depth_anything_v2/00001.png", lambda v: (v >> 8).astype(np.uint8)), "not 16 bits",
    ),
    "mono of half the range": (_array("depth_anything_v2/00001.png", lambda v: v // 2), "0..65535"),
    "aligned below zero": (
        _array("aligned_depth_anything_v2/00001.npy", _with((3, 4), -1)), "leaves",
    ),
    "aligned constant": (_array("aligned_depth_anything_v2/00001.npy", np.ones_like), "constant"),
    "prior above one": (
        _array("marigold/depth_npy/00001_pred.npy", _with((3, 4), 1.5)), "leaves [0, 1]",
    ),
    "a pickled prior": (_pickled, "without pickle"),
    "a pair is missing": (lambda s: (s / PAIR).unlink(), "1 of 64 pairs missing"),
    "a pair of no frames": (
        lambda s: shutil.copy(s / PAIR, s / "alltracker" / "00001_00099.npy"), "no pair of frames",
    ),
    "tracks of doubles": (_array(PAIR, lambda v: v.astype(np.float64)), "not float32"),
    "tracks of three columns": (_array(PAIR, lambda v: v[:, :3]), "not (N, 4)"),
    "fewer points": (_array(PAIR, lambda v: v[:-1]), "other targets"),
    "occlusion above one": (_array(PAIR, _with((0, 2), 1.5)), "occlusion leaves"),
    "visibility for occlusion": (_array(OWN, _with((slice(None), 2), 1)), "called occluded"),
    "points between pixels": (_array(OWN, _with((1, 0), 0.5)), "not whole pixels"),
    "points outside": (_array(OWN, _with((0, 0), -8)), "outside the image"),
    "columns first": (
        _array(OWN, lambda v: v[np.lexsort((v[:, 1], v[:, 0]))]), "not row-major",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("small_store")
def test_every_damage_is_found(run_here: RunHere, tmp_path: Path) -> None:
    scene = run_here(*SMALL) / "dataset" / "demo"
    assert not faults(scene)
    for name, (damage, line) in DAMAGES.items():
        broken = tmp_path / "broken"
        shutil.copytree(scene, broken, copy_function=os.link)
        damage(broken)
        found = faults(broken)
        assert any(line in fault for fault in found), f"{name}: {found}"
        shutil.rmtree(broken)
    assert not faults(scene)

    (scene / PAIR).unlink()
    shutil.rmtree(scene / "masks")
    assert not faults(scene, ["images", "metric", "mono", "aligned", "marigold"])
    for need, status in (("images,aligned", 0), ("tracks", 1), ("masks", 1), ("nonsense", 2)):
        done = subprocess.run(
            [sys.executable, "-m", "tests.contract", str(scene), "--pairs", "2", "--need", need],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr


def test_a_folder_without_frames(tmp_path: Path) -> None:
    assert faults(tmp_path) == [f"{tmp_path}/images: no frames"]
    with pytest.raises(ValueError, match="need knows"):
        faults(tmp_path, ["image"])
