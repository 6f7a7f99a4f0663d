"""dynprep: any monocular video to the folder a dynamic 3D/4D reconstruction trainer reads."""

__version__ = "0.1.0"
