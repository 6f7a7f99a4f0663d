"""Datasets for PyTorch's DataLoader on top of a scene that dynprep wrote.

Shapes: (H, W) pixels of ``images/``, N query pixels.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dynprep.artefacts import Artefact
from dynprep.artefacts.alignment import AlignedDisparity
from dynprep.artefacts.masks import ObjectMasks
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.prior import DepthPrior
from dynprep.dataset import DatasetScene

Item = dict[str, Any]


class FrameDataset(Dataset[Item]):
    """Frames: ``frame`` (its number), ``rgb`` (3, H, W) float32 in [0, 1] and what of the rest the scene holds.

    ``mask`` (H, W) bool, ``metric_disparity`` and ``aligned_disparity`` (H, W) in 1/m, ``depth_prior`` (H, W) in
    [0, 1], ``intrinsics`` (4,) in pixels.
    """

    def __init__(self, scene: DatasetScene) -> None:
        self.scene = scene
        readers: dict[str, tuple[type[Artefact], Any]] = {
            "mask": (ObjectMasks, scene.masks),
            "metric_disparity": (MetricDisparity, scene.metric_disparity),
            "aligned_disparity": (AlignedDisparity, scene.aligned_disparity),
            "depth_prior": (DepthPrior, scene.depth_prior),
            "intrinsics": (MetricDisparity, scene.intrinsics),
        }
        self.readers = {
            name: read for name, (artefact, read) in readers.items() if scene.has(artefact)
        }

    def __len__(self) -> int:
        return len(self.scene)

    def __getitem__(self, index: int) -> Item:
        rgb = torch.from_numpy(self.scene.rgb(index).astype(np.float32) / 255).permute(2, 0, 1)
        rest = {
            name: torch.from_numpy(np.array(read(index))) for name, read in self.readers.items()
        }
        return {"frame": index, "rgb": rgb, **rest}


class TrackDataset(Dataset[Item]):
    """Pairs of frames: ``query`` and ``target`` (their numbers), ``pixels`` (N, 2) and ``tracks`` (N, 4).

    pixels: query pixels as (x, y); tracks: x, y, occlusion, confidence in the target.
    """

    def __init__(self, scene: DatasetScene) -> None:
        self.scene, self.pairs = scene, scene.track_pairs()

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Item:
        query, target = self.pairs[index]
        pixels = torch.from_numpy(self.scene.tracks(query, query)[:, :2].copy())
        tracks: Tensor = torch.from_numpy(self.scene.tracks(query, target))
        return {"query": query, "target": target, "pixels": pixels, "tracks": tracks}
