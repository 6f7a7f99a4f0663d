"""Cameras' poses in files from outside, in the forms that people have them."""

from dynprep.scene.poses.known import KnownPoses
from dynprep.scene.poses.read import read_poses

__all__ = ["KnownPoses", "read_poses"]
