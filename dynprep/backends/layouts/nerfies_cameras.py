"""Cameras as Nerfies has them: one JSON file a frame.

The format: https://github.com/google/nerfies#datasets. Shapes: (4,) fx, fy, cx, cy.
"""

from typing import Any

from dynprep.artefacts.cameras import CameraSet
from dynprep.backends.layouts.world import HALF
from dynprep.scene.frames import Frames


def camera_json(cameras: CameraSet, frames: Frames, number: int) -> dict[str, Any]:
    """A frame's camera.

    ``orientation`` is world to camera, ``position`` its place in the world; the first pixel's centre is 0.5, 0.5.
    """
    pose = cameras.camera_to_world[number]
    fx, fy, cx, cy = cameras.intrinsics[number].tolist()
    return {
        "orientation": (pose[:3, :3].T + 0.0).tolist(),
        "position": pose[:3, 3].tolist(),
        "focal_length": fx,
        "principal_point": [cx + HALF, cy + HALF],
        "image_size": [frames.width, frames.height],
        "skew": 0.0,
        "pixel_aspect_ratio": fy / fx,
        "radial_distortion": [0.0, 0.0, 0.0],
        "tangential_distortion": [0.0, 0.0],
    }


def camera_name(number: int) -> str:
    """What a frame is called: its camera, of which there is one, and the time."""
    return f"0_{number:05d}"
