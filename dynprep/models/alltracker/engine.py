"""Tracks from many query frames of one clip: the numbers of ``AllTracker.track``, without its waste.

A frame is encoded once; only the last iteration is upsampled, only in the frames whose results are
wanted, only at the pixels that are read; windows of several passes run together where memory allows;
what is constant over a window's iterations is computed once.

Shapes: T frames of the clip, B passes that run together, S slots of a window, C channels, (h, w) cells
of 8 x 8 pixels, N = B * S * h * w cells of all slots, P pixels that are read.
"""

import copy
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dynprep.arrays import check_shapes
from dynprep.models.alltracker.correlation import CHANNELS, Correlation, cells, pyramid
from dynprep.models.alltracker.network import AllTracker, State, carried, own_cells
from dynprep.models.alltracker.schedule import SLOTS, Window, windows
from dynprep.models.alltracker.update import WIDTH, UpdateBlock
from dynprep.models.alltracker.upsampling import Pixels

# floats a cell and slot that an iteration holds at most, beside correlations: the lookup, the
# motion encoder's widest layer, features, context, the perceptrons' inner layer
_FLOATS = 2 * CHANNELS + 512 + 4 * WIDTH + 6 * WIDTH

_Part = TypeVar("_Part", bound=nn.Module)
_Wanted = tuple[int, int, int]  # pass, slot, and the frame's number in the pass


@dataclass
class _Pass:
    """One direction from one query frame.

    query: its number among the queries; order: frames of the clip, the query frame first; remaining:
    windows that have not run yet; wanted: numbers, in ``order``, of the frames whose tracks are wanted;
    last_state: flows and visibilities at the end of the last window, None before the first.
    """

    query: int
    order: list[int]
    remaining: deque[Window]
    wanted: Collection[int]
    last_state: State | None = field(default=None)


@dataclass(frozen=True)
class _Iteration:
    """A network's parts that run in every iteration, as copies that are laid out for speed.

    source: identities of the weights that they were copied from.
    """

    source: tuple[object, ...]
    update_block: UpdateBlock
    flow_head: nn.Sequential
    visconf_head: nn.Sequential


# by network, so that a scene's batches of queries share one copy and what was compiled for it
_COPIES: "WeakKeyDictionary[AllTracker, _Iteration]" = WeakKeyDictionary()


class AllPairs:
    """Tracks from any query frame of a clip to any other frame.

    maps (T, C, h, w): feature maps by ``AllTracker.encode``, on the network's device or, pinned, on the
    host; iters: iterations a window; memory: bytes that a step may use beside weights and maps;
    together: passes at once, at most. The network is left as it is: the engine works on copies of the
    small parts that it lays out differently. Raises ValueError for maps of another shape.
    """

    def __init__(
        self, network: AllTracker, maps: Tensor, iters: int, memory: float, together: int
    ) -> None:
        check_shapes(maps=(maps, "T C h w"))
        self.network, self.maps, self.iters = network, maps, iters
        self.parts = _iteration_parts(network)
        size = (maps.shape[-2], maps.shape[-1])
        area = size[0] * size[1]
        width = maps.element_size()
        row = size[1] * cells(*size) * width  # bytes of the correlations of one row of cells
        a_slot = area * _FLOATS * width
        per_pass = SLOTS * (size[0] * row + a_slot)
        self.together = int(max(1, min(together, memory // per_pass)))
        # what is left for correlations when not even the volumes of one pass fit
        left = max(memory - SLOTS * a_slot * self.together, row * size[0])
        self.rows_at_once = int(left // row)

    @torch.inference_mode()
    def tracks(
        self,
        queries: Sequence[int],
        pixels: Sequence[Pixels],
        wanted: Sequence[Collection[int]],
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Track the pixels of query frames to other frames.

        queries: frames of the clip; pixels, wanted: for each query the pixels that are tracked and the
        target frames (the query frame itself is left out). Yields, in no particular order, the query's
        number in ``queries``, the target frame, and values (P, 4) at the query's pixels: flow x, y in
        pixels of the network's input, visibility and confidence in 0..1.
        """
        waiting = deque(self._passes(queries, wanted))
        while waiting:
            # a batch needs equal numbers of slots: two frames make a window of one, others of 16
            slots = len(waiting[0].remaining[0].frames)
            of_this_size = [p for p in waiting if len(p.remaining[0].frames) == slots]
            group = of_this_size[: self.together]
            for one in group:
                waiting.remove(one)
            yield from self._window(group, slots, queries, pixels)
            # those under way go on first: they hold memory
            waiting.extendleft(p for p in reversed(group) if p.remaining)

    def _passes(self, queries: Sequence[int], wanted: Sequence[Collection[int]]) -> Iterator[_Pass]:
        """The passes forward and backward from each query frame that give something wanted."""
        count = len(self.maps)
        for number, query in enumerate(queries):
            for order in (list(range(query, count)), list(range(query, -1, -1))):
                targets = {k for k, frame in enumerate(order) if k and frame in wanted[number]}
                schedule = windows(len(order))
                needed = [w for w in schedule if any(f in targets for _, f in w.results)]
                if needed:
                    # each window starts from the one before, so those in between must run, too
                    end = schedule.index(needed[-1]) + 1
                    yield _Pass(number, order, deque(schedule[:end]), targets)

    def _window(
        self, group: list[_Pass], slots: int, queries: Sequence[int], pixels: Sequence[Pixels]
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Run the next window of each pass of the group, and read its wanted results."""
        network = self.network
        current = [one.remaining.popleft() for one in group]
        anchors = self._maps([queries[one.query] for one in group])
        state, context = network.start(anchors, slots)
        for k, one in enumerate(group):
            if one.last_state is not None:
                own_rows = slice(k * slots, (k + 1) * slots)
                state.flows[own_rows] = carried(one.last_state.flows)
                state.visconfs[own_rows] = carried(one.last_state.visconfs)
        frames = [one.order[f] for one, w in zip(group, current, strict=True) for f in w.frames]
        # the pyramid of a frame is made once, however many slots and passes hold it
        unique = sorted(set(frames))
        where = torch.tensor([unique.index(f) for f in frames], device=anchors.device)
        levels = [
            level[where].unflatten(0, (len(group), slots)) for level in pyramid(self._maps(unique))
        ]
        correlation = Correlation(anchors, levels, self.rows_at_once)
        context_share = self._context_share(channels_last(context))
        distinct = self._distinct_rows(group, current, slots)
        state = State(*map(channels_last, (state.feat, state.flows, state.visconfs)))
        wanted = [
            (k, slot, frame)
            for k, (one, window) in enumerate(zip(group, current, strict=True))
            for slot, frame in window.results
            if frame in one.wanted
        ]
        ending = [k for k, one in enumerate(group) if not one.remaining]
        for number in range(self.iters):
            last = number == self.iters - 1
            # after its last window a pass needs nothing but what is read
            rows = self._rows_needed(wanted, ending, len(group), slots) if last else None
            motion = self._motion(state, correlation, distinct if number == 0 else None)
            state = self._step(state, context_share, motion, slots, rows)
        for k, one in enumerate(group):
            if one.remaining:
                own_rows = slice(k * slots, (k + 1) * slots)
                # features start anew in every window, so none are held
                one.last_state = State(
                    state.feat[:0], state.flows[own_rows], state.visconfs[own_rows]
                )
        for k, one in enumerate(group):
            results = [(slot, frame) for number, slot, frame in wanted if number == k]
            if results:
                at = torch.tensor([k * slots + slot for slot, _ in results], device=anchors.device)
                values = torch.cat([state.flows[at], state.visconfs[at]], 1)
                read = pixels[one.query].read(network.upsample_weight, state.feat[at], values)
                read[..., 2:] = read[..., 2:].sigmoid()
                for (_, frame), tracks in zip(results, read, strict=True):
                    yield one.query, one.order[frame], tracks

    def _maps(self, frames: Sequence[int]) -> Tensor:
        """Maps (len(frames), C, h, w) of these frames, on the network's device."""
        chosen = self.maps[list(frames)]
        return chosen.to(self.network.device, non_blocking=True)

    @staticmethod
    def _rows_needed(
        wanted: list[_Wanted], ending: list[int], passes: int, slots: int
    ) -> Tensor | None:
        """Rows of (B * S) whose result the last iteration must give; None for all of them."""
        needed = {k * slots + slot for k, slot, _ in wanted}
        needed |= {k * slots + s for k in range(passes) if k not in ending for s in range(slots)}
        return None if len(needed) == passes * slots else torch.tensor(sorted(needed))

    @staticmethod
    def _distinct_rows(
        group: list[_Pass], current: list[Window], slots: int
    ) -> tuple[Tensor, Tensor] | None:
        """Rows of (B * S) that hold different frames, and for each row the one of these that equals it.

        Slots behind a pass's end repeat its last frame. In a first window nothing but the frame tells
        slots apart before the first iteration, so that their correlations and motion are equal. None
        where no two rows are equal, or where flows carried over tell them apart.
        """
        if not all(window.fresh for window in current):
            return None
        names = [(k, frame) for k, window in enumerate(current) for frame in window.frames]
        first = {name: row for row, name in reversed(list(enumerate(names)))}
        distinct_rows = sorted(first.values())
        if len(distinct_rows) == len(group) * slots:
            return None
        row_of = [distinct_rows.index(first[name]) for name in names]
        return torch.tensor(distinct_rows), torch.tensor(row_of)

    def _motion(
        self, state: State, correlation: Correlation, distinct: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """The motion encoder's output (B * S, 126, h, w), computed once for rows that are equal."""
        dtype = self.network.dtype
        flows = state.flows
        rows = None
        if distinct is not None:
            rows = distinct[0].to(flows.device)
            flows = flows[rows]
        lookup = correlation.lookup(own_cells(flows) + flows, rows).to(dtype)
        motion = self.parts.update_block.motion_encoder(lookup, flows.to(dtype))
        return motion if distinct is None else motion[distinct[1].to(flows.device)]

    def _context_share(self, context: Tensor) -> Tensor:
        """What the context (B * S, 128, h, w) adds to the compressor's output, bias included: (N, 128).

        The compressor is a 1 x 1 convolution over concatenated inputs, so a sum of one product an input;
        the context is the same in every iteration.
        """
        compressor = self.parts.update_block.compressor
        weight = compressor.weight[:, WIDTH : 2 * WIDTH, 0, 0]
        return F.linear(_flat(context), weight, compressor.bias)

    def _step(
        self,
        state: State,
        context_share: Tensor,
        motion: Tensor,
        slots: int,
        rows: Tensor | None,
    ) -> State:
        """One iteration, as ``AllTracker.step``; with ``rows`` only these rows of the result are valid."""
        network, block = self.network, self.parts.update_block
        # the compressor's inputs in order: features, context, motion, flows and visibilities
        weight = block.compressor.weight[:, :, 0, 0].T
        small = _flat(torch.cat([state.flows, state.visconfs], 1).to(network.dtype))
        mixed = torch.addmm(context_share, _flat(state.feat), weight[:WIDTH])
        # not in place: autocast would not convert the arguments
        mixed = torch.addmm(mixed, _flat(motion), weight[2 * WIDTH : 3 * WIDTH - 2])
        mixed = torch.addmm(mixed, small, weight[3 * WIDTH - 2 :])
        size = state.feat.shape[-2:]
        x = mixed.view(-1, *size, WIDTH).permute(0, 3, 1, 2)
        for number, part in enumerate(block.refine):
            if number == len(block.refine) - 1 and rows is not None:
                x = x[rows]  # after the last block over time, rows do not see each other
            x = part(x) if number % 2 else part(x, slots)
        x = block.final_conv(x)
        flow, visconf = self.parts.flow_head(x), self.parts.visconf_head(x)
        dtype = state.flows.dtype
        if rows is None:
            return State(x, state.flows + flow.to(dtype), state.visconfs + visconf.to(dtype))
        feat = state.feat.clone()
        flows, visconfs = state.flows.clone(), state.visconfs.clone()
        feat[rows] = x
        flows[rows] += flow.to(dtype)
        visconfs[rows] += visconf.to(dtype)
        return State(feat, flows, visconfs)


def _iteration_parts(network: AllTracker) -> _Iteration:
    """Copies of the parts that run in every iteration, made anew when the network's weights change."""
    originals = (network.update_block, network.flow_head, network.visconf_head)
    weights = [p for part in originals for p in part.parameters()]
    # the version counts changes in place; tensors made in inference mode have none
    source = tuple((w.data_ptr(), w.dtype, 0 if w.is_inference() else w._version) for w in weights)
    copies = _COPIES.get(network)
    if copies is None or copies.source != source:
        on_cpu = network.device.type == "cpu"
        block, flow_head, visconf_head = (_laid_out(part, on_cpu) for part in originals)
        copies = _Iteration(source, block, flow_head, visconf_head)  # type: ignore[arg-type]
        _COPIES[network] = copies
    return copies


@torch.inference_mode(False)  # else the copies' weights would be inference tensors
def _laid_out(part: _Part, on_cpu: bool) -> _Part:
    """A copy of a part with the weights of its convolutions, and on CPUs its linear layers, for speed."""
    part_copy = copy.deepcopy(part)
    for original, module in zip(part.modules(), part_copy.modules(), strict=True):
        # perceptrons and attention read channels side by side, so convolutions shall, too
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if isinstance(module, nn.Linear) and on_cpu:
            module.__class__ = _LinearAsConvolution
        if original._compiled_call_impl is not None:  # a copy does not inherit that
            module.compile()
    return part_copy


class _LinearAsConvolution(nn.Linear):
    """A linear layer as a 1 x 1 convolution, which on CPUs adds the bias in the same loop.

    A matrix product would first copy the bias to every row.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x (..., channels in) -> (..., channels out)."""
        cells_as_row = x.flatten(0, -2)[None, :, None].permute(0, 3, 1, 2)
        weight = self.weight[:, :, None, None].contiguous(memory_format=torch.channels_last)
        y = F.conv2d(cells_as_row, weight, self.bias)
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _flat(values: Tensor) -> Tensor:
    """(B, C, h, w) -> (B * h * w, C); a view where a cell's channels lie side by side."""
    return values.permute(0, 2, 3, 1).flatten(0, 2)


def channels_last(values: Tensor) -> Tensor:
    """Return the same values (B, C, h, w) with a cell's channels side by side in memory."""
    return values.contiguous(memory_format=torch.channels_last)
