"""Relative disparity that is steady over the clip, from Video Depth Anything (Chen et al. 2025)."""

from dataclasses import dataclass

from dynprep.arrays import Float32Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.maps import MapKind, RelativeMap
from dynprep.artefacts.relative_disparity import RelativeDisparity
from dynprep.backends.video_depth_anything import ClipDepth, VideoDepthNetwork
from dynprep.stages.base import written_behind
from dynprep.stages.depth import ClipRelativeDepth
from dynprep.store import ItemWriter


@dataclass
class VideoDepthAnythingRelative(VideoDepthNetwork, ClipRelativeDepth):
    """Affine-invariant disparity, near is large, with one scale and shift for the clip."""

    group = "depth"

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        frames, clip = scene.frames, ClipDepth(self, scene)

        def write(one: tuple[str, Float32Array]) -> None:
            stem, values = one
            RelativeDisparity.write(writer, frames, stem, RelativeMap(values, MapKind.DISPARITY))

        written_behind(write, zip(frames.stems, clip.maps(), strict=True))
        if clip.turned:
            writer.note(
                f"depth: {clip.turned} of the clip's windows are turned over against the one before, near for far; "
                "look at the depth, and choose streaming=true or another model if it is wrong"
            )
