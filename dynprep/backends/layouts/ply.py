"""Point clouds as binary PLY, with the properties that readers made from 3D Gaussian Splatting look for.

The format: http://paulbourke.net/dataformats/ply/. Shapes: N points.
"""

import numpy as np

from dynprep.backends.layouts.cloud import Cloud

_POINT = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    + [(name, "u1") for name in ("red", "green", "blue")]
)
_WORDS = {"<f4": "float", "|u1": "uchar"}


def ply(cloud: Cloud) -> bytes:
    """The content of a .ply file; normals, which readers want to be there, are 0."""
    points = np.zeros(len(cloud), _POINT)
    for name, values in zip("xyz", cloud.positions.T, strict=True):
        points[name] = values
    for name, values in zip(("red", "green", "blue"), cloud.colours.T, strict=True):
        points[name] = values
    properties = [f"property {_WORDS[_POINT[name].str]} {name}" for name in _POINT.names or ()]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(cloud)}",
        *properties,
        "end_header",
        "",
    ]
    return "\n".join(header).encode() + points.tobytes()
