"""Reading tracks at query points of ``images/`` from a network that ran at another size."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynprep.models.alltracker.network import Framing
from dynprep.models.alltracker.upsampling import Pixels


class Readout:
    """Query points (N, 2), whole pixels of an image (H, W), in the network's pixels.

    Sizes are related with pixel centres at + 0.5; values between pixels are read bilinearly.
    """

    def __init__(
        self,
        points: NDArray[np.float32],
        image: tuple[int, int],
        framing: Framing,
        device: torch.device,
    ) -> None:
        net = np.array([framing.width, framing.height], np.float64)
        self.scale = net / np.array([image[1], image[0]], np.float64)
        at = np.clip((points.astype(np.float64) + 0.5) * self.scale - 0.5, 0, net - 1)
        low = np.floor(at).astype(np.int64)
        share = at - low
        high = np.minimum(low + 1, net.astype(np.int64) - 1)
        top, left = framing.corner
        corners, weights = [], []
        for right in (0, 1):
            for below in (0, 1):
                x = (high if right else low)[:, 0] + left
                y = (high if below else low)[:, 1] + top
                wx = share[:, 0] if right else 1 - share[:, 0]
                wy = share[:, 1] if below else 1 - share[:, 1]
                corners.append(y * framing.padded[1] + x)
                weights.append(wx * wy)
        used = np.array([w.any() for w in weights]) | (np.arange(4) == 0)
        stacked = np.stack([c for c, u in zip(corners, used, strict=True) if u], 1)  # (N, 1..4)
        shares = np.stack([w for w, u in zip(weights, used, strict=True) if u], 1)
        unique, inverse = np.unique(stacked, return_inverse=True)
        self.index = torch.from_numpy(inverse.reshape(stacked.shape)).to(device)
        self.shares = torch.from_numpy(shares.astype(np.float32)).to(device)
        flat = torch.from_numpy(unique).to(device)
        self.pixels = Pixels(flat % framing.padded[1], flat // framing.padded[1], framing.cells)
        self.points = torch.from_numpy(points).to(device)
        self.per_pixel = torch.from_numpy((1 / self.scale).astype(np.float32)).to(device)

    def tracks(self, values: Tensor) -> Tensor:
        """values (P, 4) at ``pixels`` (flow x, y, visibility, confidence) -> tracks (N, 4) in
        pixels of the image: x, y, occlusion, confidence."""
        mixed = (values[self.index] * self.shares[..., None]).sum(1)  # (N, 4)
        there = self.points + mixed[:, :2] * self.per_pixel
        sure = mixed[:, 2:].clamp(0, 1)  # shares add up to one but for rounding
        return torch.cat([there, 1 - sure[:, :1], sure[:, 1:]], 1)
