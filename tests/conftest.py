"""What tests share: runs in this process, runs of the real command line, small pictures."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers with all cores each would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import io
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from copy import deepcopy
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from numpy.typing import NDArray

from tests.processes import Forked

# how long an example takes says more of the machine than of the code
hypothesis_settings.register_profile(
    "dynprep", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("dynprep")

ROOT = Path(__file__).resolve().parents[1]
APC = ROOT / "tests" / "data" / "apc"  # real frames with depth and camera, see the README there
SHARED = ROOT.parent / "shared"
SMALL = ["data.count=8", "data.height=96", "data.width=160", "flow.rate=8", "logger.samples=1"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped parity test is a failure, since nothing else compares with published numbers."""
    report = yield
    parity = item.get_closest_marker("parity") is not None
    if report.skipped and parity and os.environ.get("CI") == "true":
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"parity tests must run in CI, but {item.nodeid} was skipped: {reason}"
    return report


@pytest.fixture(autouse=True)
def quiet_wandb(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B keeps its caches inside the test's folder."""
    home = tmp_path_factory.getbasetemp() / "wandb"
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(home))


@lru_cache
def _composed(overrides: tuple[str, ...]) -> tuple[dict, dict[str, str]]:
    from dynprep.config.compose import compose_config

    return compose_config(overrides)


def composed(overrides: Sequence[str]) -> tuple[dict, dict[str, str]]:
    """The configuration and choices that the command line would give."""
    return deepcopy(_composed(tuple(overrides)))  # Hydra takes its time


RunHere = Callable[..., Path]


def runner(root: Path) -> RunHere:
    """Runs dynprep in this process; gives the run's folder. Store and datasets are under ``root``."""

    def call(*overrides: str, name: str = "run") -> Path:
        from dynprep.app import run

        folder = root / name
        folder.mkdir(exist_ok=True)
        given = {o.split("=")[0] for o in overrides}
        base = {
            "dataset_dir": f"dataset_dir={folder / 'dataset'}",
            "store_dir": f"store_dir={root / 'store'}",
            "logger": "logger=none",
            "report.page": "report.page=false",
            "trainer.readers": "trainer.readers=0",
        }
        config, choices = composed([v for k, v in base.items() if k not in given] + list(overrides))
        run(config, choices, folder)
        return folder

    return call


@pytest.fixture
def run_here(tmp_path: Path) -> RunHere:
    """Run dynprep in this process, under tmp_path."""
    return runner(tmp_path)


@pytest.fixture(scope="session")
def made_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which SMALL has been run."""
    root = tmp_path_factory.mktemp("made_small")
    runner(root)(*SMALL)
    return root / "store"


@pytest.fixture
def small_store(tmp_path: Path, made_small: Path) -> Path:
    """The store of ``run_here``, which holds all of SMALL already though no run uses it: for tests that look at
    what comes after."""
    aside = shutil.ignore_patterns("references", "locks")
    return Path(shutil.copytree(made_small, tmp_path / "store", ignore=aside))


def cli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in ``folder``, in a process of its own whose libraries are imported already."""
    return Forked(folder, *arguments).wait()


def fresh_cli(
    folder: Path, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in ``folder`` as users start it."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in tmp_path, in a process of its own."""
    return partial(cli, tmp_path)


@pytest.fixture
def run_fresh_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in tmp_path as users start it: some seconds of imports."""
    return partial(fresh_cli, tmp_path)


@pytest.fixture
def run_main(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line as ``run_cli`` runs it, but in this process: no start of Python and its imports."""
    from dynprep import commands, sweep

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        root = logging.getLogger()
        before = list(root.handlers), root.level
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["dynprep", *arguments])
            patch.setattr(sys, "stdin", io.StringIO())
            patch.setattr(sweep, "_current", [])
            patch.setenv("HYDRA_FULL_ERROR", "1")  # which it sets itself, for good
            patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
            try:
                status: object = commands.main()
            except SystemExit as end:
                status = end.code
            finally:  # Hydra's handlers write to this test's folder and streams
                for handler in set(root.handlers) - set(before[0]):
                    handler.close()
                root.handlers[:], root.level = before
        told = capsys.readouterr()
        code = status if isinstance(status, int) else int(status is not None)
        return subprocess.CompletedProcess(list(arguments), code, told.out, told.err)

    return call


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth random RGB picture that optical flow can follow."""
    import cv2

    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 255, (height // 6 + 2, width // 6 + 2, 1)).astype(np.float32)
    small = small * np.array([1.0, 0.9, 0.8], np.float32)  # video halves the resolution of colour
    return np.clip(
        cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255
    ).astype(np.uint8)


def sliding(count: int, height: int, width: int, step: int = 2) -> list[NDArray[np.uint8]]:
    """A camera that slides over a far texture with a nearer strip: parallax."""
    far, near = (
        texture(height, width + count * 3 * step, 1),
        texture(height, width + count * 3 * step, 2),
    )
    frames = []
    for k in range(count):
        frame = far[:, k * step : k * step + width].copy()
        band = slice(height // 2, height)
        frame[band] = near[band, 2 * k * step : 2 * k * step + width]
        frames.append(frame)
    return frames


def write_frames(folder: Path, frames: list[NDArray[np.uint8]], suffix: str = ".png") -> Path:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{k:05d}{suffix}")
    return folder


# without threads and look-ahead, whose rate control differs from run to run
_ENCODING = {"qp": "12", "threads": "1", "tune": "zerolatency"}


def write_video(
    path: Path,
    frames: list[NDArray[np.uint8]],
    times: list[float] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """H.264 with the given time stamps in seconds (24 a second without); the same bytes every time, so one thread."""
    from fractions import Fraction

    import av

    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=24, options=_ENCODING)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for k, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture = picture.reformat(format="yuv420p")
            picture.time_base = Fraction(1, 1000)
            picture.pts = round(1000 * (times[k] if times else k / 24))
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def tree(folder: Path, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Content of every file below ``folder`` by relative path."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in but
    }


PROVENANCE = ("dynprep.json", "dynprep_files.json")  # hold times and folders


@pytest.fixture
def shared() -> Iterator[Path]:
    """Frames whose licence does not allow them in this repository; without them a test is skipped."""
    if not SHARED.is_dir():
        pytest.skip("the DAVIS frames are not beside this checkout")
    yield SHARED
