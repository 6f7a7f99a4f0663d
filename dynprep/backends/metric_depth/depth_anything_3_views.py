"""Depth, intrinsics and poses of a clip at once, from Depth Anything 3's networks for several views (Lin et al. 2025).

Shapes: V frames of a window, (H, W) pixels of ``images/``, (h, w) of the network's input.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cv2
import numpy as np

from dynprep.arrays import Float32Array, Float64Array
from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.maps import FARTHEST, MetricMap
from dynprep.artefacts.metric_disparity import ASSUMED_SCALE, MetricDisparity
from dynprep.backends.depth_anything_3 import DepthAnything3Network
from dynprep.errors import UserError
from dynprep.options import AtLeastOne, Positive, Range
from dynprep.scene.frames import Frames
from dynprep.stages.base import written_behind
from dynprep.stages.metric_depth import ClipMetricDepth
from dynprep.store import ItemWriter
from dynprep.vision.joined_views import View, ViewJoiner, Views
from dynprep.vision.sliding import windows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dynprep.models.depth_anything_3.network import ViewGeometry

_READERS = 2  # threads that make frames ready
_DOUBTFUL = 0.1  # share by which windows may differ about the metre before it is said


@dataclass
class _SeveralViews(DepthAnything3Network, ClipMetricDepth):
    """Windows of frames that see each other, joined by poses and depth of the frames that they share."""

    window: Annotated[int, Range(2, 1000)]
    overlap: AtLeastOne

    group = "metric_depth"
    tells_poses = True
    smaller = "a smaller network, metric_depth.window or metric_depth.side"

    def __post_init__(self) -> None:
        if self.overlap >= self.window:
            raise ValueError(f"overlap={self.overlap} must be below window={self.window}")

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images, Intrinsics)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        frames, units = scene.frames, list[float | None]()
        poses: list[Float64Array] = []
        focals: list[Float64Array] = []

        def write(one: tuple[str, View]) -> None:
            (stem, view), metres = one, units[0]
            if metres is None:
                raise UserError(
                    f"{scene.name}: its first {self.window} frames show the sky alone, and nothing tells metres; "
                    "leave them out (data.start) or choose another metric_depth"
                )
            output = as_map(view, frames, metres)
            MetricDisparity.write(writer, frames, stem, output)
            pose = view.camera_to_world.copy()
            pose[:3, 3] *= metres
            poses.append(pose)
            focals.append(output.intrinsics)

        written_behind(write, zip(frames.stems, self._views(scene, units), strict=True))
        MetricDisparity.write_poses(writer, np.stack(poses))
        if self.context.shared_camera:
            camera = np.median(focals, 0)
            for stem in frames.stems:
                MetricDisparity.write_intrinsics(writer, stem, camera)
        for remark in (*self._about_camera(scene), *self.remarks(units)):
            writer.note(remark)

    @staticmethod
    def _about_camera(scene: Scene) -> list[str]:
        if not scene[Intrinsics].known:
            return []
        return [
            "the camera that you or the data give is not used for depth: a network for several views sees its own, "
            "which is written with its depth and poses"
        ]

    def remarks(self, units: Sequence[float | None]) -> list[str]:
        """What a user should know of the unit. units: how many metres the first window's is, by each window."""
        return []

    def _views(self, scene: Scene, units: list[float | None]) -> Iterator[View]:
        """Every frame's view in turn, in the unit of the first window. units: takes what each window says of it."""
        joiner, plan = ViewJoiner(), windows(len(scene.frames), self.window, self.overlap)
        inputs: list[Float32Array] = []
        with ThreadPoolExecutor(_READERS) as pool:
            for k, (start, end) in enumerate(plan):
                stems = scene.frames.stems[start + len(inputs) : end]
                inputs += pool.map(lambda stem: self.pixels(scene, stem), stems)
                views, metres = self.seen(self.tensor(inputs).to(self.inference.weights_dtype()))
                shared = end - plan[k + 1][0] if k + 1 < len(plan) else 0
                joined = joiner.add(views, shared)
                units.append(None if metres is None else metres / joiner.scale)
                yield from joined
                inputs = inputs[len(inputs) - shared :] if shared else []

    @abstractmethod
    def seen(self, images: "Tensor") -> tuple[Views, float | None]:
        """What frames (V, 3, h, w) show that see each other, and how many metres their unit is, None where nothing
        tells."""


@dataclass
class DepthAnything3Views(_SeveralViews):
    """Nothing tells metres: the median depth of the first window is taken to be ``median_depth`` metres."""

    variant: Literal["small", "base", "large", "giant"]
    median_depth: Positive

    keep_float32 = ("head.scratch.output_conv2", "cam_dec")

    def key_options(self) -> dict[str, Any]:
        return {**super().key_options(), ASSUMED_SCALE: True}

    def new_network(self) -> "nn.Module":
        from dynprep.models.depth_anything_3.network import AnyView

        return AnyView(self.variant)

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.head]

    def seen(self, images: "Tensor") -> tuple[Views, float | None]:
        with self.inference.inference(self.device):
            views = as_views(self.network(images))
        return views, self.median_depth / float(np.median(views.depth))

    def remarks(self, units: Sequence[float | None]) -> list[str]:
        return [
            f"metric_depth=depth_anything_3_{self.variant} is NOT metric: depth and poses are right up to one scale; "
            f"the median depth of the first {self.window} frames is set to {self.median_depth:g} m "
            "(metric_depth.median_depth)"
        ]


@dataclass
class DepthAnything3Nested(_SeveralViews):
    """A network for several views, and one for single images that brings each window to metres and knows the sky."""

    variant: Literal["small", "giant"]

    backend_id = "depth_anything_3_nested"
    keep_float32 = (
        "da3.head.scratch.output_conv2",
        "da3.cam_dec",
        "da3_metric.head.scratch.output_conv2",
        "da3_metric.head.scratch.sky_output_conv2",
    )
    tells_sky = True

    def new_network(self) -> "nn.Module":
        from dynprep.models.depth_anything_3.network import Nested

        return Nested() if self.variant == "giant" else Nested("small", "small")

    def unused(self) -> tuple[str, ...]:
        from dynprep.models.depth_anything_3.network import UNUSED_OF_NESTED

        return UNUSED_OF_NESTED

    def modules_to_compile(self) -> Sequence[Any]:
        return [self.network.da3.head, self.network.da3_metric]

    def seen(self, images: "Tensor") -> tuple[Views, float | None]:
        from dynprep.models.depth_anything_3.network import metric_scale

        with self.inference.inference(self.device):
            raw = self.network.da3(images)
            # single images one by one: they need not be held together
            single = [self.network.da3_metric(image) for image in images.split(1)]
            depth, sky = (_cat(maps) for maps in zip(*single, strict=True))
            metres = metric_scale(raw, depth, sky)
        return as_views(raw, sky), metres

    def remarks(self, units: Sequence[float | None]) -> list[str]:
        known = np.array([unit for unit in units if unit is not None])
        off = float(np.max(np.abs(known / known[0] - 1)))
        if off <= _DOUBTFUL:
            return []
        return [
            f"metric_depth: the clip's windows differ by up to {off:.0%} about how long a metre is; the first one's is "
            "used"
        ]


def _cat(maps: Sequence["Tensor"]) -> "Tensor":
    import torch

    return torch.cat(list(maps))


def as_views(raw: "ViewGeometry", sky: "Tensor | None" = None) -> Views:
    """What a network gave, on the host. sky (V, h, w): where there is sky, None where that is unknown."""
    return Views(
        raw.depth.cpu().numpy(),
        raw.confidence.cpu().numpy(),
        raw.camera_to_world.cpu().double().numpy(),
        raw.focal.cpu().double().numpy(),
        None if sky is None else sky.cpu().numpy(),
    )


def as_map(view: View, frames: Frames, metres: float) -> MetricMap:
    """A view at the frames' size, with the focal lengths there. metres: of the view's unit."""
    size = frames.width, frames.height
    depth = cv2.resize(view.depth, size, interpolation=cv2.INTER_LINEAR) * np.float32(metres)
    sky = None
    if view.sky is not None:
        sky = cv2.resize(view.sky.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0
        depth = np.where(sky, np.float32(FARTHEST), depth)
    height, width = view.depth.shape
    fx, fy = view.focal * (frames.width / width, frames.height / height)
    camera = np.array([fx, fy, (frames.width - 1) / 2, (frames.height - 1) / 2])
    return MetricMap(depth, camera, sky=sky)
