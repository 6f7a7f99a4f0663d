"""The file formats that dynprep reads from outside: a good example of each, and what reads it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.conftest import sliding, write_frames, write_video


@dataclass(frozen=True)
class Format:
    """A kind of file.

    make: writes a good example into an empty folder and returns its path, all that belongs to it beside it; read:
    reads it as the program does, raises UserError where it cannot; is_json: whether it is spoiled as JSON, too;
    kinds: whether a pipe, a folder or a device may stand in its place.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    is_json: bool = False
    kinds: bool = True


def _frames(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return sorted(write_frames(folder, sliding(2, 32, 40), suffix).iterdir())[0]

    return make


# EXIF: the orientation 6
_TURNED = bytes.fromhex("457869660000 4d4d002a00000008 0001 0112 0003 00000001 0006 0000 00000000")


def _image(mode: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        values = np.arange(32 * 40).reshape(32, 40)
        wide = Image.fromarray(values.astype(np.uint16))
        image = wide if mode == "I;16" else Image.fromarray(values.astype(np.uint8)).convert(mode)
        folder.mkdir(exist_ok=True)
        image.save(folder / "00000.png", exif=_TURNED)
        return folder / "00000.png"

    return make


def _read_frames(path: Path) -> object:
    from dynprep.scene.pictures import FramesSource
    from dynprep.scene.source import Selection

    source = FramesSource(
        path.parent, "x", Selection(0, None, 1, None, None), "fail", "black", 24.0
    )
    return (
        source.probe(),
        source.plain_suffix(),
        source.identity(),
        [f.index for f in source.frames()],
    )


def _video(folder: Path) -> Path:
    return write_video(folder / "clip.mp4", sliding(6, 32, 48))


def _read_video(path: Path) -> object:
    from dynprep.scene.source import Selection
    from dynprep.scene.video import VideoSource

    source = VideoSource(path, "x", Selection(0, None, 1, None, None), "fail")
    return source.probe(), source.identity(), [f.index for f in source.frames()]


def _array(folder: Path) -> Path:
    np.save(folder / "00000.npy", np.linspace(1, 2, 48, dtype=np.float32).reshape(6, 8))
    return folder / "00000.npy"


def _read_array(path: Path) -> object:
    from dynprep.scene.array_files import read_numbers

    return read_numbers(path)


def _json(value: Any, name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(json.dumps(value))
        return folder / name

    return make


_TRANSFORMS = {
    "fl_x": 50.0, "fl_y": 50.0, "cx": 20.0, "cy": 16.0,
    "frames": [{"file_path": "00000.png", "transform_matrix": np.eye(4).tolist()}],
}  # fmt: skip


def _read_camera(path: Path) -> object:
    from dynprep.foreign import read_json
    from dynprep.scene.camera_files import intrinsics_rows

    try:
        rows = intrinsics_rows(read_json(path, Any), str(path))
    except OSError as error:  # its caller names the option
        return error
    assert all(np.isfinite(row).all() and row[0] > 0 for row in rows)
    return rows


def _truth(folder: Path) -> Path:
    (folder / "depth").mkdir()
    _array(folder / "depth")
    return _json(
        {
            "camera_to_world": [np.eye(4).tolist()] * 2,
            "body_to_world": {"0": [np.eye(4).tolist()] * 2},
            "intrinsics": [50.0, 50.0, 20.0, 16.0],
        },
        "truth.json",
    )(folder)


def _flow(folder: Path) -> Path:
    (folder / "flow").mkdir()
    path = folder / "flow" / "00000_00001.npy"
    np.save(path, np.zeros((6, 8, 3), np.float32))
    return path


def _read_truth(path: Path) -> object:
    from dynprep.scene.truth import Truth

    return Truth(path.parent if path.suffix == ".json" else path.parent.parent).check()


def _of_run(name: str) -> Callable[[Path], Path]:
    """A file of a finished run, found by its name in the run's, the dataset's or the store's folder."""

    def make(folder: Path) -> Path:
        from tests.faults.whole import small_run

        small_run(folder)
        return sorted(folder.rglob(name))[0]

    return make


def _read_record(path: Path) -> object:
    from dynprep.record_shape import read_record

    return read_record(path.parent)


def _read_manifest(path: Path) -> object:
    from dynprep.export.manifest import Manifest

    manifest = Manifest.of(path.parent)
    return manifest.changed(), list(manifest.foreign())


def _read_dataset(path: Path) -> object:
    from dynprep.dataset import DatasetScene
    from dynprep.export.validate import describe_folders, faults

    scene = DatasetScene(next(folder for folder in path.parents if folder.name == "demo"))
    return describe_folders(scene), list(faults(scene))


def _read_seal(path: Path) -> object:
    from dynprep.store.seal import read_seal

    return read_seal(path, path.parents[1].name, path.parent.name)


def _read_result(path: Path) -> object:
    from dynprep.commands.store import main

    return main(["--store", str(path.parents[2]), "verify"])


def _read_mark(path: Path) -> object:
    from dynprep.store import Store

    return Store(path.parent)


def _read_references(path: Path) -> object:
    from dynprep.store import Store
    from dynprep.store.references import references

    return [note.alive() for note in references(Store(path.parents[1])).values()]


def _index(folder: Path) -> Path:
    entry = {"name": "00000", "files": {"00000.npy": [128, "0" * 64]}, "notes": []}
    (folder / "index.host-1.jsonl").write_text((json.dumps(entry) + "\n") * 3)
    return folder / "index.host-1.jsonl"


def _read_index(path: Path) -> object:
    from dynprep.store.seal import read_index

    return read_index([path])


def _network(folder: Path) -> Any:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=14, image_size=28,
        out_indices=[1, 2], out_features=None, reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, reassemble_factors=[1, 0.5],
        neck_hidden_sizes=[16, 16], fusion_hidden_size=16, head_hidden_size=8,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder / "config.json"


def _weights(folder: Path) -> Path:
    _network(folder)
    return folder / "model.safetensors"


def _read_network(path: Path) -> object:
    from transformers import AutoModelForDepthEstimation

    from dynprep.backends.hugging_face import load_network

    return load_network(AutoModelForDepthEstimation, path.parent, "depth")


def _pickle(folder: Path) -> Path:
    import torch

    torch.save({"model": {"a.weight": torch.zeros(3, 4), "b": torch.ones(2)}}, folder / "w.pth")
    return folder / "w.pth"


def _read_tensors(path: Path) -> object:
    from dynprep.weights.tensors import read_tensors

    return read_tensors(path)


def _unidepth(folder: Path) -> Path:
    config = {
        "model": {
            "pixel_encoder": {"name": "dinov2_vits14", "output_idx": [3, 6, 9, 12], "use_norm": True},
            "pixel_decoder": {"hidden_dim": 256, "depths": [1, 2, 3]}, "num_heads": 8, "expansion": 4,
        },
        "data": {"augmentations": {"ratio_bounds": [0.5, 2.5], "pixels_min": 2e5, "pixels_max": 6e5}},
    }  # fmt: skip
    return _json(config, "config.json")(folder)


def _read_unidepth(path: Path) -> object:
    from dynprep.foreign import read_json
    from dynprep.models.unidepth.config import configured

    try:
        return configured("vits14", read_json(path, Any), str(path))
    except OSError as error:
        return error


def _user_options(folder: Path) -> Path:
    (folder / "depth").mkdir()
    path = folder / "depth" / "mine.yaml"
    path.write_text((Path(__file__).parents[2] / "conf/depth/parallax.yaml").read_text())
    return path


def _read_options(path: Path) -> object:
    from tests.faults.whole import command

    folder = path.parents[1]
    end = command(folder, "--config-dir", str(folder), "depth=mine", "stages=[images]", "--cfg=job")
    if end.fault:
        raise AssertionError(end.fault)
    return end.status


FORMATS = (
    Format("frames in PNG", _frames(".png"), _read_frames),
    Format("frames in JPEG", _frames(".jpg"), _read_frames),
    Format("frames of 16 bit", _image("I;16"), _read_frames),
    Format("frames with a palette", _image("P"), _read_frames),
    Format("video", _video, _read_video),
    Format("arrays", _array, _read_array),
    Format("intrinsics as a list", _json([50.0, 50.0, 20.0, 16.0], "k.json"), _read_camera, True),
    Format("intrinsics as a matrix", _json([[50, 0, 20], [0, 50, 16], [0, 0, 1]], "k.json"), _read_camera, True),
    Format("intrinsics by frame", _json({f"{k}": [5, 5, 2, 1] for k in range(9)}, "k.json"), _read_camera, True),
    Format("transforms.json", _json(_TRANSFORMS, "transforms.json"), _read_camera, True),
    Format("truth.json", _truth, _read_truth, True),
    Format("true flow", _flow, _read_truth),
    Format("run.json", _of_run("run.json"), _read_record, True),
    Format("dynprep.json", _of_run("dynprep.json"), _read_dataset, True),
    Format("dynprep_files.json", _of_run("dynprep_files.json"), _read_manifest, True),
    Format("intrinsics of a dataset", _of_run("unidepth_intrins.json"), _read_dataset, True),
    Format("maps of a dataset", _of_run("00000.npy"), _read_dataset),
    Format("frames of a dataset", _of_run("00000.png"), _read_dataset),
    Format("seals", _of_run("result.json"), _read_seal, True),
    Format("seals, verified", _of_run("result.json"), _read_result, True),
    Format("index of a result", _index, _read_index),
    Format("mark of a store", _of_run("dynprep-store.json"), _read_mark, True),
    Format("references", _of_run("references/*.json"), _read_references, True),
    Format("config.json of transformers", _network, _read_network, True),
    Format("safetensors", _weights, _read_network),
    Format("tensors of torch", _pickle, _read_tensors),
    Format("config.json of UniDepth", _unidepth, _read_unidepth, True),
    Format("options in YAML", _user_options, _read_options, kinds=False),
)  # fmt: skip
