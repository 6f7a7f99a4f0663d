"""The depth prior that trainers read from ``marigold/depth_npy``.

Shapes: (H, W) pixels of ``images/``.
"""

import numpy as np

from dynprep.arrays import Float32Array, UInt8Array
from dynprep.artefacts.base import Agreement, SceneResults, Scorer, check_values
from dynprep.artefacts.depth_map import DepthMap, against_depth, correlation
from dynprep.artefacts.drawing import coloured
from dynprep.artefacts.files import Place
from dynprep.scene.frames import Frames
from dynprep.store import ItemWriter


class DepthPrior(DepthMap):
    """``{stem}_pred.npy`` affine-invariant depth (H, W) float32 in [0, 1], 0 = near."""

    name = "prior"
    title = "Depth prior (red: near)"
    what = "affine-invariant depth"
    unit = ""
    places = (Place("prior", "marigold/depth_npy"),)
    protocols = (("depth", "image", "lsq"),)
    scorers = (Scorer("depth", against_depth, against_truth=True),)
    agreement = Agreement(
        "correlation of depth", lambda a, b, stem: correlation(DepthPrior, a, b, stem)
    )
    suffix = "_pred.npy"
    near_is_large = False

    @classmethod
    def write(cls, writer: ItemWriter, frames: Frames, stem: str, depth: Float32Array) -> None:
        """Store one frame's depth (H, W), limited to [0, 1]."""
        check_values(depth, f"{cls.name} of frame {stem}", frames.size)
        cls.write_map(writer, frames, stem, np.clip(depth, 0, 1).astype(np.float32))

    def picture(self, scene: SceneResults, stem: str) -> UInt8Array:
        """The prior turned over, so that near is red as in the other pictures."""
        return coloured(1 - self.of(stem), 0, 1)
