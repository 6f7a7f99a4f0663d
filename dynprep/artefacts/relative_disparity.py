"""What a relative-depth model gives, as affine-invariant disparity.

Shapes: (H, W) pixels of ``images/``.
"""

import numpy as np

from dynprep.arrays import Float64Array
from dynprep.artefacts.base import Agreement, Scorer, check_values
from dynprep.artefacts.depth_map import DepthMap, against_depth, correlation, edges, steadiness
from dynprep.artefacts.files import Place
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import RelativeMap, from_png, to_png
from dynprep.artefacts.temporal import temporal_alignment
from dynprep.artefacts.tracks import PairTracks
from dynprep.scene.frames import Frames
from dynprep.store import ItemWriter


class RelativeDisparity(DepthMap):
    """``{stem}.npy`` float32 (H, W), of any scale and shift, and the published ``{stem}.png``, 16 bit.

    The float map is stored too, since the PNG loses the scale between frames.
    """

    name = "depth"
    title = "Relative disparity (red: near)"
    what = "affine-invariant disparity"
    unit = ""
    places = (Place("relative_disparity", "depth_anything_v2"),)
    protocols = (("disparity", "video", "lsq"), ("disparity", "image", "lsq"))
    scorers = (
        Scorer("depth", against_depth, against_truth=True),
        Scorer("temporal", temporal_alignment, (Intrinsics,), against_truth=True),
        Scorer("steadiness", steadiness, (PairTracks,)),
        Scorer("edges", edges),
    )
    agreement = Agreement(
        "correlation of disparity", lambda a, b, stem: correlation(RelativeDisparity, a, b, stem)
    )

    def unit_disparity(self, stem: str) -> Float64Array:
        """The PNG's disparity (H, W) in [0, 1], float64, which the published alignment starts from."""
        return from_png(self.files.image(f"{stem}.png"))

    @classmethod
    def write(cls, writer: ItemWriter, frames: Frames, stem: str, output: RelativeMap) -> None:
        """Store one frame's map, as floats and as PNG, and where there is sky."""
        check_values(output.values, f"{cls.name} of frame {stem}", frames.size)
        disparity = output.disparity()
        cls.write_map(writer, frames, stem, disparity)
        writer.image(f"{stem}.png", np.asarray(to_png(disparity)))
        cls.write_sky(writer, frames, stem, output.sky)

    def linked(self) -> dict[Place, list[str]]:
        return {self.places[0]: [f"{stem}.png" for stem in self.frames.stems]}
