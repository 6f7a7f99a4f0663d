"""AllTracker's network and its sliding-window inference from one query frame."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.models.alltracker.correlation import Correlation, pyramid
from dynprep.models.alltracker.encoder import STRIDE, BasicEncoder, ConvNextEncoder
from dynprep.models.alltracker.schedule import SLOTS, STEP, Window, windows
from dynprep.models.alltracker.update import WIDTH, UpdateBlock
from dynprep.models.alltracker.upsampling import all_logits, upsample

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_BLOCK = 64  # pixels that both sides are padded to multiples of
_SMALLEST = 128  # pixels: at 64 the coarsest correlation would be empty
_LONE_SLOT = 1  # the time of the only slot of a window of two frames
_EVERYTHING = 1 << 62


@dataclass(frozen=True)
class Framing:
    """Padding of (H, W) to the network's size, the smaller half left and on top."""

    height: int
    width: int

    @property
    def padded(self) -> tuple[int, int]:
        rows, columns = (
            max(_SMALLEST, -(-n // _BLOCK) * _BLOCK) for n in (self.height, self.width)
        )
        return rows, columns

    @property
    def corner(self) -> tuple[int, int]:
        """(top, left)."""
        rows, columns = self.padded
        return (rows - self.height) // 2, (columns - self.width) // 2

    @property
    def cells(self) -> tuple[int, int]:
        return self.padded[0] // STRIDE, self.padded[1] // STRIDE

    def crop(self, values: Tensor) -> Tensor:
        """(…, padded H, padded W) -> (…, H, W)."""
        top, left = self.corner
        return values[..., top : top + self.height, left : left + self.width]


@dataclass
class State:
    """Of a window: features (B * S, 128, h, w), flows in cells and raw visibility and confidence
    (B * S, 2, h, w)."""

    feat: Tensor
    flows: Tensor
    visconfs: Tensor


class AllTracker(nn.Module):
    """The inference network, with the parameter names of the published checkpoints.

    variant: ``full`` (ConvNeXt encoder) or ``tiny`` (RAFT's encoder).
    """

    def __init__(self, variant: Literal["full", "tiny"]) -> None:
        super().__init__()
        if variant == "full":
            self.cnn = ConvNextEncoder()
            self.dot_conv = nn.Conv2d(384, 2 * WIDTH, 1)
        else:
            self.fnet = BasicEncoder()
        self.variant = variant
        self.time_emb: Tensor
        self.register_buffer("time_emb", _time_embedding())
        self.update_block = UpdateBlock()
        self.flow_head = _head(2)
        self.visconf_head = _head(2)
        self.upsample_weight = nn.Sequential(
            nn.Conv2d(WIDTH, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 9 * STRIDE**2, 1)
        )

    def load_published(self, tensors: Mapping[str, Tensor]) -> None:
        """Take a published checkpoint's tensors; raises RuntimeError unless every key fits."""
        self.load_state_dict(dict(tensors), strict=True)

    @property
    def dtype(self) -> torch.dtype:
        return self.flow_head[0].weight.dtype  # type: ignore[union-attr,return-value]

    @property
    def device(self) -> torch.device:
        return self.upsample_weight[0].weight.device  # type: ignore[union-attr,return-value]

    def encode(self, frames: Tensor) -> Tensor:
        """frames (B, 3, H, W) in 0..255 -> feature maps (B, C, h, w), padded."""
        framing = Framing(frames.shape[-2], frames.shape[-1])
        mean = frames.new_tensor(_MEAN)[:, None, None]
        std = frames.new_tensor(_STD)[:, None, None]
        (top, left), (rows, columns) = framing.corner, framing.padded
        bottom, right = rows - framing.height - top, columns - framing.width - left
        x = F.pad((frames / 255 - mean) / std, (left, right, top, bottom), mode="replicate")
        x = x.to(self.dtype)
        if self.variant == "full":
            return self.dot_conv(self.cnn(x))
        return self.fnet(x)

    def start(self, anchor: Tensor, slots: int) -> tuple[State, Tensor]:
        """The state before anything is known, and the context (B * S, 128, h, w), of anchor maps
        (B, C, h, w)."""
        size = anchor.shape[-2:]
        # tiny: the whole map is both
        feat, context = anchor.split(WIDTH, 1) if anchor.shape[1] == 2 * WIDTH else (anchor, anchor)
        time = self.time_emb[0, :slots] if slots == SLOTS else self.time_emb[0, _LONE_SLOT, None]
        timed = context[:, None] + time.to(context.dtype)[None, :, :, None, None]
        shape = (len(anchor) * slots, 2, *size)
        flows, visconfs = (
            torch.zeros(shape, dtype=_exact(anchor), device=anchor.device) for _ in range(2)
        )
        feats = feat[:, None].expand(-1, slots, -1, -1, -1).flatten(0, 1)
        return State(feats, flows, visconfs), timed.flatten(0, 1)

    def step(self, state: State, context: Tensor, correlation: Correlation, slots: int) -> State:
        """One iteration over a window."""
        own = own_cells(state.flows)
        lookup = correlation.lookup(own + state.flows)
        kind = self.dtype
        feat = self.update_block(
            state.feat,
            context,
            state.visconfs.to(kind),
            lookup.to(kind),
            state.flows.to(kind),
            slots,
        )
        return State(
            feat,
            state.flows + self.flow_head(feat).to(state.flows.dtype),
            state.visconfs + self.visconf_head(feat).to(state.flows.dtype),
        )

    @torch.inference_mode()
    def track(self, frames: Tensor, query: int, iters: int = 4) -> tuple[Tensor, Tensor]:
        """Tracks of every pixel of frame ``query`` through a clip.

        frames (T, 3, H, W) in 0..255. Returns flow (T, 2, H, W) in pixels, x then y, from the
        query's pixel to where it is; and visibility and confidence (T, 2, H, W) in 0..1. Where no
        window holds the query frame (it has at most one neighbour on each side), its own row is the
        identity: no flow, visible, certain.
        """
        framing = Framing(frames.shape[-2], frames.shape[-1])
        maps = torch.cat([self.encode(frame[None]) for frame in frames])
        flow = frames.new_zeros(len(frames), 2, framing.height, framing.width)
        visconf = torch.ones_like(flow)
        told = torch.zeros(len(frames), dtype=torch.bool)
        for order in (range(query, len(frames)), range(query, -1, -1)):
            for target, moved, sure in self.one_pass(maps[list(order)], iters):
                if not told[order[target]]:
                    told[order[target]] = True
                    flow[order[target]] = framing.crop(moved)
                    visconf[order[target]] = framing.crop(sure)
        return flow, visconf

    def one_pass(self, maps: Tensor, iters: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Windows over maps (L, C, h, w), the query frame's first: for every frame that a window
        holds its number, flow and visconf (2, H, W), padded."""
        before: State | None = None
        for window in windows(len(maps)):
            slots = len(window.frames)
            state, context = self.start(maps[:1], slots)
            if before is not None:
                state = State(state.feat, carried(before.flows), carried(before.visconfs))
            levels = [level[None] for level in pyramid(maps[list(window.frames)])]
            correlation = Correlation(maps[:1], levels, _EVERYTHING)
            for _ in range(iters):
                state = self.step(state, context, correlation, slots)
            before = state
            yield from self._upsampled(state, window)

    def _upsampled(self, state: State, window: Window) -> Iterator[tuple[int, Tensor, Tensor]]:
        for slot, frame in window.results:
            logits = all_logits(self.upsample_weight, state.feat[slot, None]).to(state.flows.dtype)
            flow = upsample(state.flows[slot, None], logits)[0]
            visconf = upsample(state.visconfs[slot, None], logits)[0].sigmoid()
            yield frame, flow, visconf


def carried(values: Tensor, batch: int = 1) -> Tensor:
    """What a window starts from: slots 0-7 from the last one's 8-15, all others from its slot 15."""
    values = values.unflatten(0, (batch, SLOTS))
    tail = values[:, -1:].expand(-1, SLOTS - STEP, *values.shape[2:])
    return torch.cat([values[:, STEP:], tail], 1).flatten(0, 1)


def own_cells(like: Tensor) -> Tensor:
    """(2, h, w): x and y of every cell."""
    height, width = like.shape[-2:]
    y = torch.arange(height, dtype=like.dtype, device=like.device)
    x = torch.arange(width, dtype=like.dtype, device=like.device)
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)])


def _head(out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(WIDTH, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, out, 3, padding=1)
    )


def _exact(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)


def _time_embedding() -> Tensor:
    """(1, 16, 128): sines and cosines of the slot, wavelengths 2π … 10000 · 2π."""
    half = WIDTH // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(SLOTS, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1).float()[None]
