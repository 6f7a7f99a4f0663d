"""Which camera a network is given: the one that is known, the clip's, or none."""

from dataclasses import dataclass

from dynprep.arrays import Float64Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics, SeenIntrinsics
from dynprep.stages.base import Stage

CENTRE = 0.5  # of a pixel: networks count from its corner, datasets from its centre


@dataclass
class CameraAware(Stage):
    """For networks that predict intrinsics, and can take them as an input as well.

    With ``camera.shared`` they take one camera for the clip, the median of what they predict for its frames.
    """

    def reads(self) -> tuple[type[Artefact], ...]:
        seen = (SeenIntrinsics,) if self.context.shared_camera else ()
        return (Images, Intrinsics, *seen)

    def camera_for(self, scene: Scene, item: str) -> Float64Array | None:
        """[fx, fy, cx, cy] (4,) in pixels of ``images/``, or None where the network shall predict it."""
        known = known_camera(scene, item)
        if known is None and self.context.shared_camera:
            return scene[SeenIntrinsics].clip_median
        return known


def known_camera(scene: Scene, item: str) -> Float64Array | None:
    """[fx, fy, cx, cy] (4,) in pixels of ``images/`` that the user or the data gave; None where it is a guess."""
    intrinsics = scene[Intrinsics]
    return intrinsics.of(item) if intrinsics.known else None
