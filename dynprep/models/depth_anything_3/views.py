"""DINOv2's encoder over several views of a scene, which see each other in every second of its later blocks.

Shapes: V views, C channels, (h, w) patches of 14 x 14 pixels, N = 1 + h w tokens of a view.
"""

import torch
from torch import Tensor, nn

from dynprep.models.depth_anything_3.config import Size
from dynprep.models.dinov2 import PATCH, POSITION_OFFSET, Block, DinoV2

_BASE = 100.0  # of the frequencies of the rotary embedding
_FEWEST = 3  # views from which on the reference is chosen; of fewer it is the first


class ViewEncoder(DinoV2):
    """The encoder of the any-view networks, keys as published.

    Even blocks, and all before ``views_from``, look at one view; the odd ones from there on at all. There the class
    token is replaced by one that says whether a view is the one that others are posed against.
    """

    def __init__(self, size: Size) -> None:
        super().__init__(size.channels, size.blocks, size.taps, 1e-5, POSITION_OFFSET)
        assert size.views_from is not None
        self.start = size.views_from
        self.blocks = nn.ModuleList(
            Block(size.channels, normed=k >= self.start, gated=size.gated)
            for k in range(size.blocks)
        )
        self.camera_token = nn.Parameter(torch.zeros(1, 2, size.channels))

    def encode(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features (V, h w, 2 C) after each tap, and camera tokens (V, 2 C) of the last one.

        images (V, 3, H, W): normalised, sides multiples of 14. A feature's first half is of its view alone; the second
        half is of all views.
        """
        views = len(images)
        grid = images.shape[-2] // PATCH, images.shape[-1] // PATCH
        x = self.tokens(images)
        alone = x
        order = torch.arange(views, device=x.device)
        places = _places(grid, x.device)
        within = _rotation(places, x.dtype)
        # across views a patch is told from a class token, not from other patches
        across = _rotation(places.clamp(max=1), x.dtype).over(views)
        taps, tokens = [], x[:, 0]
        for k, block in enumerate(self.blocks):
            if k == self.start - 1 and views >= _FEWEST:
                order = with_first(reference(x[:, 0]), views, x.device)
                x, alone = x[order], alone[order]
            if k == self.start:
                x = torch.cat([self._camera_tokens(views), x[:, 1:]], 1)
            if k < self.start:
                x = alone = block(x)
            elif k % 2 == 0:
                x = alone = block(x, within)
            else:
                x = block(x.flatten(0, 1)[None], across)[0].unflatten(0, (views, -1))
            if k + 1 in self.taps:
                back = order.argsort()
                taps.append(torch.cat([alone, self.norm(x)], -1)[back, 1:])
                tokens = torch.cat([alone[:, 0], x[:, 0]], -1)[back]
        return taps, tokens

    def _camera_tokens(self, views: int) -> Tensor:
        """One for the reference view, and one for each of the others (V, 1, C)."""
        first, other = self.camera_token[0, :1], self.camera_token[0, 1:]
        return torch.cat([first, other.expand(views - 1, -1)])[:, None]


class _Rotation:
    """Turns queries and keys by where their tokens are (RoPE; Su et al. 2021), half the channels by row, half by
    column."""

    def __init__(self, cosine: Tensor, sine: Tensor) -> None:
        self.cosine, self.sine = cosine, sine

    def __call__(self, x: Tensor) -> Tensor:
        """x (..., N, 64) -> the same."""
        one, other = x.unflatten(-1, (2, 2, -1)).unbind(-2)  # (..., N, 2, 16): rows, then columns
        turned = torch.stack([-other, one], -2).flatten(-3)
        return x * self.cosine + turned * self.sine

    def over(self, views: int) -> "_Rotation":
        """The same for the tokens of several views, one after another."""
        return _Rotation(self.cosine.repeat(views, 1), self.sine.repeat(views, 1))


def _rotation(places: Tensor, dtype: torch.dtype, channels: int = 64) -> _Rotation:
    """places (N, 2): row and column of each token."""
    quarter = channels // 4
    waves = _BASE ** (-torch.arange(quarter, device=places.device) / quarter)
    angles = places[..., None].float() * waves  # (N, 2, 16)
    doubled = torch.cat([angles, angles], -1).flatten(1)
    return _Rotation(doubled.cos().to(dtype), doubled.sin().to(dtype))


def _places(grid: tuple[int, int], device: torch.device) -> Tensor:
    """Row and column (N, 2) of the tokens of a view, from 1; the class token is at 0, 0."""
    rows, columns = (torch.arange(1, side + 1, device=device) for side in grid)
    patches = torch.cartesian_prod(rows, columns)
    return torch.cat([torch.zeros(1, 2, dtype=patches.dtype, device=device), patches])


def reference(tokens: Tensor) -> int:
    """The view that the others are posed against: the one most in the middle by three measures of class tokens (V, C).

    They are its likeness to the others, its length, and the variance of its direction, each brought to 0..1.
    """
    length = tokens.norm(dim=-1)
    direction = tokens / length[:, None]
    views = len(tokens)
    likeness = direction @ direction.T - torch.eye(views, device=tokens.device)
    measures = torch.stack([likeness.sum(-1) / (views - 1), length, direction.var(-1)])
    low, high = measures.amin(1, keepdim=True), measures.amax(1, keepdim=True)
    unit = (measures - low) / (high - low + 1e-8)
    return int((unit - 0.5).abs().sum(0).argmin())


def with_first(chosen: int, views: int, device: torch.device) -> Tensor:
    """Numbers of the views (V,), the chosen one first and the rest in their order."""
    rest = [k for k in range(views) if k != chosen]
    return torch.tensor([chosen, *rest], device=device)
