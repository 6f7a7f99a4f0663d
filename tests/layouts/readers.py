"""Each layout read by its documented convention, with other code than that which writes it, and held against what its
reader demands. Each function returns the views of a folder."""

import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from PIL import Image

from tests.layouts.cube import COUNT, HEIGHT, WIDTH


@dataclass(frozen=True)
class View:
    """An image (H, W, 3) and its camera. first: where the reader has the centre of the first pixel, 0 or 0.5."""

    image: np.ndarray
    world_to_camera: np.ndarray
    matrix: np.ndarray
    first: float = 0.5

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Where points (N, 3) of the world are seen, in pixels whose first centre is 0, 0."""
        turned = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        seen = turned @ self.matrix.T
        return seen[:, :2] / seen[:, 2:] - self.first


def picture(source: Path | io.BytesIO) -> np.ndarray:
    with Image.open(source) as image:
        return np.asarray(image)


def matrix(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def colmap(folder: Path) -> list[View]:
    """By pycolmap, as gsplat does."""
    model = pycolmap.Reconstruction(folder / "sparse" / "0")
    assert len(model.cameras) == 1 and len(model.points3D) > 100
    images = sorted(model.images.values(), key=lambda image: image.name)
    # Deformable-3D-Gaussians takes the time from the stem
    assert [int(Path(image.name).stem) for image in images] == list(range(COUNT))
    for image in images:
        assert image.num_points3D > 0, "gsplat's depth loss looks up the points of every image"
    for point in model.points3D.values():
        assert point.track.length() > 0
        for element in point.track.elements:
            image = model.images[element.image_id]
            assert image.points2D[element.point2D_idx].point3D_id in model.points3D
    return [
        View(
            picture(folder / "images" / image.name),
            np.asarray(image.cam_from_world().matrix()),
            np.asarray(image.camera.calibration_matrix()),
        )
        for image in images
    ]


def transforms(folder: Path) -> list[View]:
    """By nerfstudio's convention: camera to world, x right, y up, z backward."""
    content = json.loads((folder / "transforms.json").read_text())
    views = []
    assert content["camera_model"] == "OPENCV"
    assert (folder / content["ply_file_path"]).is_file()
    for entry in content["frames"]:
        image = picture(folder / entry["file_path"])
        assert image.shape[:2] == (entry["h"], entry["w"])
        mask = picture(folder / entry["mask_path"])
        assert mask.dtype == np.uint8 and mask.shape == image.shape[:2]
        z = picture(folder / entry["depth_file_path"])
        assert z.dtype == np.uint16 and z.shape == image.shape[:2]
        right, up, back, centre = np.array(entry["transform_matrix"])[:3].T
        turn = np.stack([right, -up, -back])
        camera = np.concatenate([turn, -(turn @ centre)[:, None]], 1)
        views.append(View(image, camera, matrix(*(entry[k] for k in ("fl_x", "fl_y", "cx", "cy")))))
    return views


def nerfies(folder: Path) -> list[View]:
    """By the formula of Nerfies' camera: pixel = focal · (orientation · (X − position)) + principal point."""
    ids = json.loads((folder / "dataset.json").read_text())
    metadata = json.loads((folder / "metadata.json").read_text())
    scene = json.loads((folder / "scene.json").read_text())
    extra = json.loads((folder / "extra.json").read_text())
    split = json.loads((folder / "splits" / "train.json").read_text())
    assert ids["ids"] == ids["train_ids"] == split["frame_names"] and len(ids["ids"]) == COUNT
    assert ids["val_ids"] and set(ids["val_ids"]) <= set(ids["ids"])
    assert [metadata[k]["warp_id"] for k in ids["ids"]] == list(range(COUNT))
    assert [metadata[k]["time_id"] for k in ids["ids"]] == split["time_ids"]
    assert scene["scale"] == 1 and scene["center"] == [0, 0, 0] and 0 < scene["near"] < scene["far"]
    assert {"bbox", "factor", "fps", "lookat", "up"} <= set(extra) and extra["fps"] == 24
    points = np.load(folder / "points.npy", allow_pickle=False)
    assert points.ndim == 2 and points.shape[1] == 3 and len(points) > 100
    views = []
    for name in ids["ids"]:
        camera = json.loads((folder / "camera" / f"{name}.json").read_text())
        turn, centre = np.array(camera["orientation"]), np.array(camera["position"])
        assert all(isinstance(v, float) for v in camera["position"])
        assert camera["image_size"] == [WIDTH, HEIGHT] and camera["skew"] == 0
        image = picture(folder / "rgb" / "1x" / f"{name}.png")
        assert image.shape == (HEIGHT, WIDTH, 4) and (image[..., 3] == 255).all()
        half = picture(folder / "rgb" / "2x" / f"{name}.png")
        assert half.shape == (HEIGHT // 2, WIDTH // 2, 4)
        z = np.load(folder / "depth" / "1x" / f"{name}.npy", allow_pickle=False)
        assert z.shape == (HEIGHT, WIDTH, 1) and z.dtype == np.float32
        f = camera["focal_length"]
        k = matrix(f, f * camera["pixel_aspect_ratio"], *camera["principal_point"])
        views.append(View(image[..., :3], np.concatenate([turn, -(turn @ centre)[:, None]], 1), k))
    return views


def shape_of_motion(folder: Path) -> list[View]:
    """The pickle is ours: the test has just written it."""
    (name,) = (path.name for path in (folder / "images").iterdir())
    content = pickle.loads(_object(folder / "droid_recon" / f"{name}.npy"))
    assert content["traj_c2w"].shape == (COUNT, 4, 4)
    assert tuple(content["img_shape"]) == (HEIGHT, WIDTH)
    assert content["tstamps"].astype(int).min() >= 0 and content["tstamps"].max() < COUNT
    views = []
    stems = sorted(path.stem for path in (folder / "images" / name).iterdir())
    for k, stem in enumerate(stems):
        image = picture(folder / "images" / name / f"{stem}.png")
        assert picture(folder / "masks" / name / f"{stem}.png").shape[:2] == image.shape[:2]
        disparity = np.load(folder / "aligned_depth_anything" / name / f"{stem}.npy")
        assert disparity.dtype == np.float32 and (disparity > 0).all()
        points = None
        for target in stems:
            tracks = np.load(folder / "bootstapir" / name / f"{stem}_{target}.npy")
            assert tracks.dtype == np.float32 and tracks.shape[1] == 4 and len(tracks)
            points = len(tracks) if points is None else points
            assert len(tracks) == points, "all targets of a query frame are stacked"
        camera = np.linalg.inv(content["traj_c2w"][k])[:3]
        views.append(View(image, camera, matrix(*content["intrinsics"]), first=0.0))
    return views


def _object(path: Path) -> bytes:
    """The pickle in a .npy file of one Python object, taken out of its array."""
    value = np.load(path, allow_pickle=True).item()
    return pickle.dumps(value)


def mosca(folder: Path) -> list[View]:
    """Cameras as its iPhone loader reads them; the rest as ``Saved2D`` does."""
    names = sorted(path.name for path in (folder / "images").iterdir())
    assert len(list(folder.glob("*_depth"))) == 1
    assert len(list(folder.glob("*uniform*tap.npz"))) == 1
    assert any((folder / "test_cameras").iterdir())
    views = []
    for k, name in enumerate(names):
        stem = Path(name).stem
        with np.load(next(folder.glob("*_depth")) / f"{stem}.npz") as depth:
            assert depth["dep"].shape == (HEIGHT, WIDTH)
        ids = picture(folder / "vos_deva" / "Annotations" / f"{stem}.png")
        assert ids.shape == (HEIGHT, WIDTH, 3)
        camera = json.loads((folder / "cameras" / f"0_{k:05d}.json").read_text())
        turn, centre = np.array(camera["orientation"]), np.array(camera["position"])
        f = camera["focal_length"]
        views.append(
            View(
                picture(folder / "images" / name),
                np.concatenate([turn, -(turn @ centre)[:, None]], 1),
                matrix(f, f, *camera["principal_point"]),
            )
        )
    for a in range(COUNT):
        for b in (a - 3, a - 1, a + 1, a + 3):
            if 0 <= b < COUNT:
                with np.load(folder / "flow_raft" / f"{names[a]}_to_{names[b]}.npz") as flow:
                    assert flow["flow"].shape == (HEIGHT, WIDTH, 2)
                    assert flow["mask"].shape == (HEIGHT, WIDTH)
    return views


def megasam(folder: Path) -> list[View]:
    (path,) = folder.glob("*_sgd_cvd_hr.npz")
    with np.load(path, allow_pickle=False) as content:
        assert content["images"].shape == (COUNT, HEIGHT, WIDTH, 3)
        assert content["images"].dtype == np.uint8
        assert content["depths"].shape == (COUNT, HEIGHT, WIDTH)
        assert content["depths"].dtype == np.float16
        assert content["depths"].min() >= 1e-3 and content["depths"].max() <= 100
        return [
            View(image, np.linalg.inv(pose)[:3], content["intrinsic"])
            for image, pose in zip(content["images"], content["cam_c2w"], strict=True)
        ]


def vipe(folder: Path) -> list[View]:
    """Images from the video, whose colours H.264 changes a little."""
    import av

    (path,) = (folder / "pose").glob("*.npz")
    name = path.stem
    with np.load(path, allow_pickle=False) as content:
        every, numbers = content["data"], content["inds"]
    with np.load(folder / "intrinsics" / f"{name}.npz", allow_pickle=False) as content:
        rows = content["data"]
        assert (content["inds"] == numbers).all() and list(numbers) == list(range(COUNT))
    lines = (folder / "intrinsics" / f"{name}_camera.txt").read_text().splitlines()
    assert lines == [f"{k}: PINHOLE" for k in range(COUNT)]
    with zipfile.ZipFile(folder / "mask" / f"{name}.zip") as masks:
        assert sorted(masks.namelist()) == [f"{k:05d}.png" for k in range(COUNT)]
        content = np.frombuffer(masks.read("00000.png"), np.uint8)
        ids = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)  # which makes colours of a palette
        assert (
            ids.shape == (HEIGHT, WIDTH) and ids.dtype == np.uint8 and set(np.unique(ids)) == {0, 7}
        )
    assert (folder / "mask" / f"{name}.txt").read_text() == "7: object 7\n"
    with av.open(str(folder / "rgb" / f"{name}.mp4")) as video:
        images = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(images) == COUNT and images[0].shape == (HEIGHT, WIDTH, 3)
    return [
        View(image, np.linalg.inv(pose)[:3], matrix(*row))
        for image, pose, row in zip(images, every, rows, strict=True)
    ]


def vipe_depth(folder: Path, scratch: Path) -> np.ndarray:
    """Depth (H, W) of the first frame, by OpenEXR."""
    import OpenEXR

    (path,) = (folder / "depth").glob("*.zip")
    with zipfile.ZipFile(path) as maps:
        assert sorted(maps.namelist()) == [f"{k:05d}.exr" for k in range(COUNT)]
        (scratch / "first.exr").write_bytes(maps.read("00000.exr"))
    with OpenEXR.File(str(scratch / "first.exr"), separate_channels=True) as file:
        assert set(file.channels()) == {"Z"}
        values = file.channels()["Z"].pixels
    assert values.dtype == np.float16
    return np.asarray(values, np.float32)
