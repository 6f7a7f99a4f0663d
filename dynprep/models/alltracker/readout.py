"""Reading tracks at query points of an image from a network that ran at another size.

Shapes: N query points, P pixels of the network's padded input, (H, W) pixels of the image.
"""

import numpy as np
import torch
from torch import Tensor

from dynprep.arrays import Float32Array, check_shapes
from dynprep.models.alltracker.network import Framing
from dynprep.models.alltracker.upsampling import Pixels


class Readout:
    """Query points of an image, in the network's pixels.

    points (N, 2): x then y, whole pixels of an image of size ``image`` (H, W); framing: of the resized
    image that the network sees. ``pixels`` are those whose tracks must be read: the up to four around
    every point, since values between pixels are read bilinearly. Raises ValueError for other shapes.
    """

    def __init__(
        self,
        points: Float32Array,
        image: tuple[int, int],
        framing: Framing,
        device: torch.device,
    ) -> None:
        check_shapes(points=(points, "N 2"))
        net = np.array([framing.width, framing.height], np.float64)
        self.scale = net / np.array([image[1], image[0]], np.float64)
        # images are resized with pixel areas aligned, so that pixel centres are at whole numbers + 0.5
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
        # corners without weight at any point (all of the right ones at equal size, say) are not read
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
        """Return tracks (N, 4): x, y in pixels of the image, occlusion and confidence in 0..1.

        values (P, 4) at ``pixels``: flow x, y in pixels of the network, visibility and confidence in 0..1.
        Raises ValueError for other shapes.
        """
        check_shapes(values=(values, f"{len(self.pixels.cell)} 4"))
        mixed = (values[self.index] * self.shares[..., None]).sum(1)  # (N, 4)
        target = self.points + mixed[:, :2] * self.per_pixel
        certain = mixed[:, 2:].clamp(0, 1)  # shares add up to one but for rounding
        return torch.cat([target, 1 - certain[:, :1], certain[:, 1:]], 1)
