"""Keys of results in the store: what they follow, and that they stay as they are.

A key that changes costs users everything that they have computed. Where one is meant to change, because the same
options give other bytes, raise ``kind_version`` or ``backend_version`` and pin the new key here.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dynprep.backends
import dynprep.stages
from dynprep.backends.metric_depth.sensor import SensorDepth
from dynprep.backends.network import Network
from dynprep.config import typed
from dynprep.config.build import Settings, settings
from dynprep.pipeline.plan import make_plan
from dynprep.scene.resolution import expected_frames
from dynprep.scene.source import Probe, RawFrame, Source
from dynprep.stages.base import Stage
from dynprep.store import Store
from tests.conftest import composed

# of the default configuration with a source that is the same on every machine
PINNED = {
    "images": "c48ee6337da341d822e3b7ea492fa95d",
    "intrinsics": "fe52fc1ed4e03b8f70605a1ceeccc24a",
    "optical_flow": "662936c3e916a0b1cd71f220638a435e",
    "camera_path": "e1ee5506581d5b8ac34caf56a4a90df1",
    "parallax": "d344b7e621eef0248a22a2d0a97e36a7",
    "masks": "ff79852215b026fd0505fa978bbbb312",
    "metric_depth": "0e95210ab8d11949c6390cc31f1cfeef",
    "depth": "93d77af3dde8e4ec1aa861ea86a3cbc9",
    "alignment_fits": "2c7965e63ea5a2a01df97e36920f43d0",
    "alignment": "4eafa665450e2f49067f9db16f94be62",
    "prior": "7bd5a53d89860f825aaab3dd6264678b",
    "tracks": "a7f610408bb8b1e9bc0782f3ea791d23",
    "points": "3003014fd3b590ef4315cbfdf4a25416",
    "cameras": "49b222cf92f68b09296dd07055ccfcda",
}

# one choice of every other backend, with made-up weights
CHOICES = {
    "masks=none": "841e5297c00cd3e467d8d5c620c91777",
    "masks=folder masks.path={masks}": "c3827336fd7e9c04df92c523ce6029c4",
    "masks=propagate masks.points=[[80,50,1]]": "cbb68fecc64530cde3020305ac7a55ff",
    "masks=sam2_tiny masks.points=[[80,50,1]]": "86936723e1bba2a851db08a121a4e816",
    "masks=sam3 masks.text=dog": "3ec45f46140b5b16a9059891c138bc4f",
    "metric_depth=parallax": "eb04248742a15c937e4798b005577a1f",
    "metric_depth=depth_pro": "6e425e5a33e9e351df599102a0a8b9e6",
    "metric_depth=zoedepth": "72299e049803c8894e75bd4b9fd4b3c5",
    "metric_depth=depth_anything_v2_indoor_small": "773427693f1eb9d3ac6b5bedb9c3221a",
    "metric_depth=unidepth_v2_vits14 camera.shared=true": "5407411f849f1dcd490012028baed430",
    "metric_depth=prompt_depth_anything_small": "d0e95aef9dc18c5915bd346012b09ed5",
    "metric_depth=moge_2_vits camera.shared=true": "4a771ddd070d29a95c506c646cb3952d",
    "metric_depth=video_depth_anything_small": "f467a288a5919da8628e9e0f859b0bae",
    "metric_depth=depth_anything_3_metric": "f58e526726483d58d79ac9d8791a9b1c",
    "metric_depth=depth_anything_3_small": "8fb69bf711a85da3e798c6437ca0c771",
    "metric_depth=depth_anything_3_nested": "5fa2b5f0f7b384fdc8ccd7ccb81c2221",
    "depth=video_depth_anything_small": "df6e36e1f9d8745860d8837732c03248",
    "depth=depth_anything_3_mono": "75587ff3a013a805e71a35f3c1bb04ff",
    "depth=depth_anything_v2_small": "4dec246df90de5930907a63e127c7be7",
    "depth=dpt_large": "3f9ad2d06fee209ece9225867967493d",
    "depth=marigold": "33edca50a725386588c3c4576a32e3f4",
    "poses=file poses.path={poses}": "c0226d04a90292919fbe9a9062963475",
    "normals=from_depth": "59bff44b483f0d3160ffe520b91d10ad",
    "normals=marigold": "f4010b8e9b08865a17a387bae0c9062f",
    "normals=moge_2_vits": "6404e3b5e5f25e7f55b6e7399ec8ba6d",
    "sky=seen metric_depth=moge_2_vits": "04203b46666306b1e4dfa781827377d5",
    "sky=segformer": "0f490faf66d1df0031c9e126327db630",
    "poses=metric_depth metric_depth=depth_anything_3_small": "1bae4ca86ce8c06c4e98a4b021f5a5dd",
    "prior=marigold": "cee34631c16d553f40c0b674b10368cf",
    "layout=colmap": "b4d9017b6c606f9e4b135d0bdcfc8d1b",
    "layout=nerfies": "87fde9ac71ef4901b882f9497ebc950c",
    "layout=shape_of_motion": "6074956f3b2604b31395f59c678a57b7",
    "layout=mosca": "912144e3a74316e929930d6e1fa98012",
    "layout=megasam": "f4235c13b3d7f15ba47021b9f444304f",
    "layout=vipe": "4869aea8907ef6e9ba56b96e367f22e3",
    "layout=ply": "fdd8913258bc349967589c628b242c17",
    "layout=glb": "38206b0a46d8680597d0c55dd6151f85",
    "flow=alltracker_tiny": "235ef41949b0e56df7a7970f7fe27438",
}


@dataclass
class Fixed(Source):
    """Four frames that need not be rendered: of a source, keys take its identity alone."""

    folder: Path
    name: str = "demo"

    def __post_init__(self) -> None:
        self.sensor = self.folder

    def describe(self) -> str:
        return "fixed"

    def probe(self) -> Probe:
        return Probe(4, 96, 160)

    def identity(self) -> dict[str, Any]:
        return {"sha256": "0" * 64}

    def frames(self) -> Iterator[RawFrame]:
        raise AssertionError("keys are known before anything is read")

    def intrinsics(self) -> dict[int, list[float]]:
        return {k: [140.0, 140.0, 79.5, 47.5] for k in range(4)}


@dataclass
class AnotherName(SensorDepth):
    """A backend that was renamed and moved: the same ``backend_id``."""


@pytest.fixture
def source(tmp_path: Path) -> Fixed:
    for name in ("depth", "masks"):
        (tmp_path / name).mkdir()
        for k in range(4):
            (tmp_path / name / f"{k:05d}.png").write_bytes(b"%d" % k)
    return Fixed(tmp_path / "depth")


def filled(choice: str, source: Fixed) -> str:
    """The choice with paths of files that are the same on every machine."""
    poses = source.folder.parent / "poses.json"
    poses.write_text(str([np.eye(4).tolist()] * 4))
    return choice.format(masks=source.folder.parent / "masks", poses=poses)


def configured(*overrides: str) -> Settings:
    return settings(*composed(["dataset_dir=x", "store_dir=y", "alignment=median", *overrides]))


def keys(source: Fixed, *overrides: str) -> dict[str, str]:
    """Keys by stage, as a run with these options would plan them."""
    chosen = configured(*overrides)
    scenes = [(source, expected_frames(source.probe(), chosen.resolution))]
    store = Store(source.folder.parent / "store")
    plan = make_plan(chosen.stages, chosen.wanted, scenes, store)
    return {name: result.key for name, result in plan.scenes[0].results.items()}


def concrete_stages() -> list[type[Stage]]:
    """Every stage class of dynprep that can be made."""
    for package in (dynprep.stages, dynprep.backends):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found: list[type[Stage]] = []
    waiting: list[type[Stage]] = [Stage]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.__module__.startswith("dynprep.") and not inspect.isabstract(cls):
            found.append(cls)
    return list(dict.fromkeys(found))


def test_keys_of_the_default_demo_are_pinned(source: Fixed) -> None:
    assert keys(source) == PINNED


@pytest.mark.parametrize("choice", CHOICES)
def test_keys_of_every_other_backend_are_pinned(
    choice: str, source: Fixed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "weights", lambda self: "sha256:0")
    overrides = filled(choice, source).split()
    group = overrides[0].partition("=")[0]
    stage = {"flow": "tracks", "poses": "cameras", "layout": overrides[0].partition("=")[2]}.get(
        group, group
    )
    assert keys(source, *overrides)[stage] == CHOICES[choice]


def test_every_backend_is_pinned(source: Fixed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "weights", lambda self: "sha256:0")
    pinned = set()
    for choice in ("data=demo", *CHOICES):
        overrides = filled(choice, source).split()
        pinned |= {type(stage) for stage in configured(*overrides).stages.values()}
    assert pinned == set(concrete_stages())


def test_a_class_may_be_renamed_and_moved(source: Fixed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "_trusted", {"dynprep", AnotherName.__module__.partition(".")[0]})
    assert (AnotherName.__module__, AnotherName.__name__) != (
        SensorDepth.__module__,
        SensorDepth.__name__,
    )
    moved = f"metric_depth._target_={AnotherName.__module__}.{AnotherName.__name__}"
    assert keys(source, moved) == PINNED


def test_another_version_is_another_key(source: Fixed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("backend_version", "kind_version"):
        with monkeypatch.context() as patch:
            patch.setattr(SensorDepth, name, 99)
            changed = {k for k, v in keys(source).items() if v != PINNED[k]}
        assert changed == {
            "metric_depth",
            "alignment_fits",
            "alignment",
            "prior",
            "points",
            "cameras",
        }


def test_every_stage_is_named_once() -> None:
    named = [(cls.makes.name, cls.backend_id) for cls in concrete_stages()]
    assert len(named) >= 20 and sorted(set(named)) == sorted(named)
    for cls in concrete_stages():
        assert isinstance(cls.kind_version, int) and isinstance(cls.backend_version, int)


@pytest.mark.parametrize(
    ("option", "value", "base"),
    [
        ("flow.mask_margin", "3", []),
        ("alignment.static_only", "true", []),
        ("alignment.huber_delta", "2.5", []),
        ("alignment.huber_rounds", "3", ["alignment=lstsq"]),
        ("alignment.smooth_frames", "9.0", []),
        ("alignment.video_pixels", "7", []),
        ("depth.mask_margin", "0.5", ["depth.fill_masked=false"]),
        ("metric_depth.sigma", "3.0", ["metric_depth.fill=nearest"]),
    ],
)
def test_what_cannot_act_changes_no_key_and_is_said(
    option: str, value: str, base: list[str], source: Fixed
) -> None:
    given = f"{option}={value}"
    assert keys(source, *base, given) == keys(source, *base)
    said = configured(*base, given).ignored_options([option])
    assert len(said) == 1 and said[0].startswith(f"{option} has no effect: ")
    assert configured(*base).ignored_options([]) == []


@pytest.mark.parametrize(
    ("option", "value", "base", "stage"),
    [
        ("flow.mask_margin", "3", ["flow.mask_only=true"], "tracks"),
        ("alignment.static_only", "false", ["alignment=huber"], "alignment_fits"),
        ("alignment.huber_delta", "2.5", ["alignment=huber"], "alignment_fits"),
        ("depth.mask_margin", "0.5", [], "depth"),
        ("metric_depth.sigma", "3.0", [], "metric_depth"),
    ],
)
def test_the_same_options_where_they_act(
    option: str, value: str, base: list[str], stage: str, source: Fixed
) -> None:
    given = f"{option}={value}"
    assert keys(source, *base, given)[stage] != keys(source, *base)[stage]
    assert configured(*base, given).ignored_options([option]) == []


@pytest.mark.parametrize(
    "given",
    [
        "batch_size=3",
        "trainer.writers=1",
        "trainer.readers=0",
        "logger=csv",
        "layout.images=frames",
    ],
)
def test_what_changes_no_byte_changes_no_key(given: str, source: Fixed) -> None:
    assert keys(source, given) == PINNED
