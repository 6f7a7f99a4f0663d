"""Tracks in one compressed file a query frame: their bounds, their files, and the way back."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import dynprep
from dynprep.packing.codec import BOUND, SCORE_STEPS, from_planes, pack, planes_of, unpack
from dynprep.packing.kinds import CONTAINERS, PackKind
from dynprep.scene.array_files import UnreadableArray
from tests.conftest import ROOT, SMALL, RunHere, tree

Cli = Callable[..., subprocess.CompletedProcess[str]]
KINDS: list[PackKind] = ["npz", "zarr"]


@st.composite
def some_tracks(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Tracks (N, 4) with probabilities, of which some lie at the bound of hiding, and their query pixels (N, 2)."""
    count = draw(st.integers(0, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reach = draw(st.sampled_from([1.0, 60.0, 900.0, 30_000.0]))
    query = random.integers(0, 4000, (count, 2)).astype(np.float32)
    scores = random.uniform(0, 1, (count, 2))
    scores[::3] = 0.5 + random.uniform(-1e-4, 1e-4, (len(scores[::3]), 2))
    moved = query + random.uniform(-reach, reach, (count, 2))
    return np.concatenate([moved, scores], 1).astype(np.float32), query


@given(some_tracks())
def test_no_coordinate_is_off_by_more_than_a_64th_of_a_pixel(
    case: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    tracks, query = case
    packed = pack(tracks, query, "probability")
    again = from_planes(planes_of(packed))
    assert (again.offsets == packed.offsets).all() and (again.scores == packed.scores).all()
    back = unpack(again, query, "probability", "float32")
    assert back.dtype == np.float32 and back.shape == tracks.shape
    # float32 itself is a 512th of a pixel wide out there
    off = np.abs(back[:, :2].astype(np.float64) - tracks[:, :2])
    assert off.max(initial=0) <= BOUND + 2**-9
    assert np.abs(back[:, 2:] - tracks[:, 2:]).max(initial=0) <= 1 / SCORE_STEPS["probability"]
    assert ((back[:, 2] >= 0.5) == (tracks[:, 2] >= 0.5)).all()


@given(st.lists(st.floats(-13.75, 13.75, allow_subnormal=False), min_size=1, max_size=30))
def test_logits_keep_their_sign(values: list[float]) -> None:
    tracks = np.zeros((len(values), 4), np.float32)
    tracks[:, 2] = tracks[:, 3] = values
    query = np.zeros((len(values), 2), np.float32)
    back = unpack(pack(tracks, query, "logit"), query, "logit", "float32")
    assert np.abs(back - tracks).max() <= 1 / SCORE_STEPS["logit"]
    assert ((back[:, 2] >= 0) == (tracks[:, 2] >= 0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_back_what_was_packed(kind: PackKind, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    query = random.integers(0, 90, (17, 2)).astype(np.float32)
    targets = {
        f"{k:05d}": pack(
            np.concatenate(
                [query + random.normal(0, 9, (17, 2)), random.uniform(0, 1, (17, 2))], 1
            ),
            query,
            "probability",
        )
        for k in range(3)
    }
    container = CONTAINERS[kind]
    content = container.content(query, "probability", targets)
    assert content == container.content(query, "probability", targets)
    path = tmp_path / f"00000{container.suffix}"
    path.write_bytes(content)
    assert (container.query(path) == query).all()
    for stem, target in targets.items():
        read = container.target(path, stem)
        assert (read.offsets == target.offsets).all() and (read.scores == target.scores).all()
    for wrong in ("00007", "../00000"):
        with pytest.raises(UnreadableArray, match=path.name):
            container.target(path, wrong)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableArray, match=path.name):
        container.query(path)


@pytest.mark.usefixtures("small_store")
@pytest.mark.parametrize("kind", KINDS)
def test_a_dataset_is_packed_read_checked_and_unpacked(
    kind: PackKind,
    run_here: RunHere,
    run_main: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = run_here(*SMALL, name="plain") / "dataset" / "demo"
    packed = run_here(*SMALL, f"layout.pack={kind}", name="packed") / "dataset" / "demo"
    suffix = CONTAINERS[kind].suffix
    assert {p.name for p in (packed / "alltracker").iterdir()} == {
        f"{k:05d}{suffix}" for k in range(8)
    }
    assert (
        json.loads((packed / "dynprep.json").read_text())["folders"]["alltracker"]["pack"] == kind
    )
    one, other = dynprep.open(plain), dynprep.open(packed)
    assert one.track_pairs() == other.track_pairs()
    for query, target in ((0, 0), (2, 7), (7, 1)):
        a, b = one.tracks(query, target), other.tracks(query, target)
        assert np.abs(a[:, :2] - b[:, :2]).max() <= BOUND
        assert (a == b).all() == (query == target)  # packed, they are rounded
    assert run_main("validate", str(packed)).returncode == 0
    if kind == "npz":
        _the_page_reads_it(packed, other.tracks(0, 7), monkeypatch)
    done = run_main("unpack", str(packed), "out")
    assert done.returncode == 0 and "64 pairs" in done.stdout
    but = ("dynprep.json", "dynprep_files.json")
    others = [
        {k: v for k, v in tree(folder, but).items() if not k.startswith("alltracker/")}
        for folder in (tmp_path / "out", packed)
    ]
    assert others[0] == others[1] and others[0]
    assert sorted(p.name for p in (tmp_path / "out" / "alltracker").iterdir()) == sorted(
        p.name for p in (plain / "alltracker").iterdir()
    )
    for query, target in ((0, 3), (5, 2)):
        assert (
            dynprep.open(tmp_path / "out").tracks(query, target) == other.tracks(query, target)
        ).all()
    assert run_main("validate", "out").returncode == 0


def _the_page_reads_it(
    dataset: Path, tracks: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of docs/format.md that read a packed file without dynprep."""
    page = (ROOT / "docs" / "format.md").read_text()
    (lines,) = [part for part in re.findall(r"```python\n(.*?)```", page, re.S) if "planes" in part]
    monkeypatch.chdir(dataset)
    names: dict[str, Any] = {}
    exec(lines, names)
    read = np.stack([names[k] for k in ("x", "y", "occlusion", "confidence")], 1)
    assert (read == tracks).all()


@pytest.mark.usefixtures("small_store")
def test_what_cannot_be_packed_or_unpacked_is_one_line(
    run_here: RunHere, run_main: Cli, tmp_path: Path
) -> None:
    refused = run_main(*SMALL, "layout.pack=npz", "flow.formats=[npy,pth]", "logger=none")
    assert refused.returncode == 1 and "use flow.formats=[npy]" in refused.stderr
    plain = run_here(*SMALL, name="plain") / "dataset" / "demo"
    assert "are not packed" in run_main("unpack", str(plain), "out").stderr
    packed = run_here(*SMALL, "layout.pack=npz", name="packed") / "dataset" / "demo"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert "holds files" in run_main("unpack", str(packed), "mine").stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    damaged = tmp_path / "damaged"
    shutil.copytree(packed, damaged)
    (damaged / "alltracker" / "00003.npz").chmod(0o644)
    (damaged / "alltracker" / "00003.npz").write_bytes(b"PK nothing")
    said = run_main("validate", str(damaged)).stderr
    assert "alltracker/00003.npz: not a complete .npz file" in said
    done = run_main("unpack", str(damaged), "out")
    assert done.returncode == 1 and "00003.npz" in done.stderr
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".dynprep-*"))
