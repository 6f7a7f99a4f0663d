"""AllTracker's network and its sliding-window inference from one query frame.

A query frame is tracked forward to the clip's end and backward to its start, in windows of 16 frames that
overlap by 8. Four iterations refine a window's tracks, which begin at rest in the first window and where
the last one left them in the others.

Shapes: B images, anchors or passes, T frames of a clip, L frames of a pass, S slots of a window, C
channels, (H, W) pixels of a frame, (h, w) cells of 8 x 8 pixels of the padded frame.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.arrays import check_shapes
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
    """Padding of frames (H, W) to the network's size, the smaller half left and on top."""

    height: int
    width: int

    @property
    def padded(self) -> tuple[int, int]:
        """Size of the padded frame: rows, columns."""
        rows, columns = (
            max(_SMALLEST, -(-n // _BLOCK) * _BLOCK) for n in (self.height, self.width)
        )
        return rows, columns

    @property
    def corner(self) -> tuple[int, int]:
        """Padding on top and on the left, in pixels."""
        rows, columns = self.padded
        return (rows - self.height) // 2, (columns - self.width) // 2

    @property
    def cells(self) -> tuple[int, int]:
        """Size (h, w) of the padded frame in cells."""
        return self.padded[0] // STRIDE, self.padded[1] // STRIDE

    def crop(self, values: Tensor) -> Tensor:
        """Return values (..., padded H, padded W) without the padding: (..., H, W).

        Raises ValueError for another size.
        """
        check_shapes(values=(values, f"... {self.padded[0]} {self.padded[1]}"))
        top, left = self.corner
        return values[..., top : top + self.height, left : left + self.width]


@dataclass
class State:
    """What is known of a window's tracks.

    feat: features (B * S, 128, h, w); flows: x then y in cells, from the query frame's cell to where it is
    in each slot (B * S, 2, h, w); visconfs: visibility and confidence before the sigmoid (B * S, 2, h, w).
    """

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
        """Take a published checkpoint's tensors. Raises RuntimeError unless every key fits."""
        self.load_state_dict(dict(tensors), strict=True)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.flow_head[0].weight.dtype  # type: ignore[union-attr,return-value]

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.upsample_weight[0].weight.device  # type: ignore[union-attr,return-value]

    def encode(self, frames: Tensor) -> Tensor:
        """Return feature maps (B, C, h, w) of frames (B, 3, H, W) in 0..255, RGB.

        C is 256 for ``full``, 128 for ``tiny``. Raises ValueError for other shapes.
        """
        check_shapes(frames=(frames, "B 3 H W"))
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
        """Return the state before anything is known, and the context (B * S, 128, h, w).

        anchor (B, C, h, w): maps of the query frames. The context says what each cell shows, and which
        slot it is in by a time embedding. Raises ValueError for other shapes.
        """
        check_shapes(anchor=(anchor, "B C h w"))
        size = anchor.shape[-2:]
        # tiny: the whole map is both
        feat, context = anchor.split(WIDTH, 1) if anchor.shape[1] == 2 * WIDTH else (anchor, anchor)
        time = self.time_emb[0, :slots] if slots == SLOTS else self.time_emb[0, _LONE_SLOT, None]
        timed = context[:, None] + time.to(context.dtype)[None, :, :, None, None]
        shape = (len(anchor) * slots, 2, *size)
        flows, visconfs = (
            torch.zeros(shape, dtype=_at_least_float32(anchor), device=anchor.device)
            for _ in range(2)
        )
        feats = feat[:, None].expand(-1, slots, -1, -1, -1).flatten(0, 1)
        return State(feats, flows, visconfs), timed.flatten(0, 1)

    def step(self, state: State, context: Tensor, correlation: Correlation, slots: int) -> State:
        """Return the state of a window after one more iteration.

        context (B * S, 128, h, w); correlation: of the query frames with the window's; slots: S.
        """
        own = own_cells(state.flows)
        lookup = correlation.lookup(own + state.flows)
        dtype = self.dtype
        feat = self.update_block(
            state.feat,
            context,
            state.visconfs.to(dtype),
            lookup.to(dtype),
            state.flows.to(dtype),
            slots,
        )
        return State(
            feat,
            state.flows + self.flow_head(feat).to(state.flows.dtype),
            state.visconfs + self.visconf_head(feat).to(state.flows.dtype),
        )

    @torch.inference_mode()
    def track(self, frames: Tensor, query: int, iters: int = 4) -> tuple[Tensor, Tensor]:
        """Track every pixel of frame ``query`` through a clip.

        frames (T, 3, H, W) in 0..255, RGB. Returns flow (T, 2, H, W) in pixels, x then y, from the
        query's pixel to where it is; and visibility and confidence (T, 2, H, W) in 0..1. Where no
        window holds the query frame (it has at most one neighbour on each side), its own row is the
        identity: no flow, visible, certain. Raises ValueError for other shapes.
        """
        check_shapes(frames=(frames, "T 3 H W"))
        framing = Framing(frames.shape[-2], frames.shape[-1])
        maps = torch.cat([self.encode(frame[None]) for frame in frames])
        flow = frames.new_zeros(len(frames), 2, framing.height, framing.width)
        visconf = torch.ones_like(flow)
        # the forward pass may hold the query frame itself; the backward one does not write it again
        written = torch.zeros(len(frames), dtype=torch.bool)
        for order in (range(query, len(frames)), range(query, -1, -1)):
            for target, moved, sure in self.one_pass(maps[list(order)], iters):
                if not written[order[target]]:
                    written[order[target]] = True
                    flow[order[target]] = framing.crop(moved)
                    visconf[order[target]] = framing.crop(sure)
        return flow, visconf

    def one_pass(self, maps: Tensor, iters: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield tracks of one pass, window by window.

        maps (L, C, h, w): the query frame's first, then those of the frames in the pass's order. Yields
        for every frame that a window holds its number in the pass, flow in pixels, and visibility and
        confidence in 0..1, both (2, padded H, padded W). Raises ValueError for other shapes.
        """
        check_shapes(maps=(maps, "L C h w"))
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
    """Return what a window starts from, given the last one's end: values (B * 16, 2, h, w), B = ``batch``.

    Slots 0 to 7 hold the frames of the last window's slots 8 to 15 and start from these; all others are
    new and start from its slot 15, the nearest frame in time.
    """
    values = values.unflatten(0, (batch, SLOTS))
    tail = values[:, -1:].expand(-1, SLOTS - STEP, *values.shape[2:])
    return torch.cat([values[:, STEP:], tail], 1).flatten(0, 1)


def own_cells(flows: Tensor) -> Tensor:
    """Return x and y of every cell of flows (..., h, w), in their number format: (2, h, w)."""
    height, width = flows.shape[-2:]
    y = torch.arange(height, dtype=flows.dtype, device=flows.device)
    x = torch.arange(width, dtype=flows.dtype, device=flows.device)
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)])


def _head(out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(WIDTH, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, out, 3, padding=1)
    )


def _at_least_float32(values: Tensor) -> torch.dtype:
    """The number format of flows: bfloat16 would have steps of a whole cell from 128 cells on."""
    return torch.promote_types(values.dtype, torch.float32)


def _time_embedding() -> Tensor:
    """Sines and cosines of the slot's number, at wavelengths 2π … 10000 · 2π: (1, 16, 128).

    The positional encoding of Vaswani et al. (2017), with all sines in front of all cosines.
    """
    half = WIDTH // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(SLOTS, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1).float()[None]
