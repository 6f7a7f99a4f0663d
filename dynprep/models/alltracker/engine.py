"""Tracks from many query frames of one clip: the numbers of ``AllTracker.track``, without its waste.

A frame is encoded once; only the last iteration is upsampled, only in the frames whose result is
kept, only at the pixels that are read; windows of several passes run together where memory allows;
what is constant over a window's iterations is computed once.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from dynprep.models.alltracker.correlation import CHANNELS, Correlation, cells, pyramid
from dynprep.models.alltracker.network import AllTracker, State, carried, own_cells
from dynprep.models.alltracker.schedule import Window, windows
from dynprep.models.alltracker.update import WIDTH
from dynprep.models.alltracker.upsampling import Pixels

# floats a cell and slot that an iteration holds at most, beside correlations: the lookup, the
# motion encoder's widest layer, features, context, the perceptrons' inner layer
_FLOATS = 2 * CHANNELS + 512 + 4 * WIDTH + 6 * WIDTH


@dataclass
class _Pass:
    """One direction of one query: frames in order, the query's first; windows not run yet."""

    query: int
    order: list[int]
    left: deque[Window]
    wanted: Collection[int]
    before: State | None = field(default=None)


class AllPairs:
    """Answers queries about a clip whose feature maps (T, C, h, w) are given, on the network's
    device or, pinned, on the host.

    memory: bytes that a step may use beside weights and maps; together: passes at once, at most.
    """

    def __init__(
        self, network: AllTracker, maps: Tensor, iters: int, memory: float, together: int
    ) -> None:
        self.network, self.maps, self.iters = network, maps, iters
        for part in (network.update_block, network.flow_head, network.visconf_head):
            for module in part.modules():
                if isinstance(
                    module, torch.nn.Conv2d
                ):  # perceptrons and attention read it so anyway
                    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                if isinstance(module, torch.nn.Linear) and network.device.type == "cpu":
                    module.forward = partial(_linear, module)  # type: ignore[method-assign]
        size = (maps.shape[-2], maps.shape[-1])
        area = size[0] * size[1]
        width = maps.element_size()
        row = size[1] * cells(*size) * width  # bytes of the correlations of one row of cells
        a_slot = area * _FLOATS * width
        per_pass = 16 * (size[0] * row + a_slot)
        self.together = int(max(1, min(together, memory // per_pass)))
        # what is left for correlations when not even one pass fits whole
        left = max(memory - 16 * a_slot * self.together, row * size[0])
        self.rows_at_once = int(left // row)

    @torch.inference_mode()
    def tracks(
        self,
        queries: Sequence[int],
        pixels: Sequence[Pixels],
        wanted: Sequence[Collection[int]],
    ) -> Iterator[tuple[int, int, Tensor]]:
        """For each query (its number in ``queries``) and each wanted frame but itself: values
        (P, 4) at that query's pixels: flow x, y in pixels of the network's input, visibility and
        confidence in 0..1."""
        waiting = deque(self._passes(queries, wanted))
        while waiting:
            slots = len(waiting[0].left[0].frames)
            group = [p for p in waiting if len(p.left[0].frames) == slots][: self.together]
            for one in group:
                waiting.remove(one)
            yield from self._window(group, slots, queries, pixels)
            # those under way go on first: they hold memory
            waiting.extendleft(p for p in reversed(group) if p.left)

    def _passes(self, queries: Sequence[int], wanted: Sequence[Collection[int]]) -> Iterator[_Pass]:
        count = len(self.maps)
        for place, query in enumerate(queries):
            for order in (list(range(query, count)), list(range(query, -1, -1))):
                mine = {k for k, frame in enumerate(order) if k and frame in wanted[place]}
                needed = [w for w in windows(len(order)) if any(f in mine for _, f in w.kept)]
                if (
                    needed
                ):  # up to the last one that gives something: each starts from the one before
                    upto = windows(len(order)).index(needed[-1]) + 1
                    yield _Pass(place, order, deque(windows(len(order))[:upto]), mine)

    def _window(
        self, group: list[_Pass], slots: int, queries: Sequence[int], pixels: Sequence[Pixels]
    ) -> Iterator[tuple[int, int, Tensor]]:
        network = self.network
        now = [one.left.popleft() for one in group]
        anchors = self._maps([queries[one.query] for one in group])
        state, context = network.start(anchors, slots)
        for k, one in enumerate(group):
            if one.before is not None:
                here = slice(k * slots, (k + 1) * slots)
                state.flows[here] = carried(one.before.flows)
                state.visconfs[here] = carried(one.before.visconfs)
        frames = [one.order[f] for one, w in zip(group, now, strict=True) for f in w.frames]
        unique = sorted(set(frames))
        where = torch.tensor([unique.index(f) for f in frames], device=anchors.device)
        levels = [
            level[where].unflatten(0, (len(group), slots)) for level in pyramid(self._maps(unique))
        ]
        correlation = Correlation(anchors, levels, self.rows_at_once)
        fixed = self._fixed(_together(context))
        unlike = self._unlike(group, now, slots)
        state = State(*map(_together, (state.feat, state.flows, state.visconfs)))
        kept = [
            (k, slot, frame)
            for k, (one, window) in enumerate(zip(group, now, strict=True))
            for slot, frame in window.kept
            if frame in one.wanted
        ]
        ends = [k for k, one in enumerate(group) if not one.left]
        for number in range(self.iters):
            last = number == self.iters - 1
            # after its last window a pass needs nothing but what is read
            rows = self._rows_needed(kept, ends, len(group), slots) if last else None
            motion = self._motion(state, correlation, unlike if number == 0 else None)
            state = self._step(state, fixed, motion, slots, rows)
        for k, one in enumerate(group):
            if one.left:
                here = slice(k * slots, (k + 1) * slots)
                one.before = State(state.feat[:0], state.flows[here], state.visconfs[here])
        for k, one in enumerate(group):
            mine = [(slot, frame) for place, slot, frame in kept if place == k]
            if mine:
                at = torch.tensor([k * slots + slot for slot, _ in mine], device=anchors.device)
                values = torch.cat([state.flows[at], state.visconfs[at]], 1)
                read = pixels[one.query].read(network.upsample_weight, state.feat[at], values)
                read[..., 2:] = read[..., 2:].sigmoid()
                for (_, frame), found in zip(mine, read, strict=True):
                    yield one.query, one.order[frame], found

    def _maps(self, frames: Sequence[int]) -> Tensor:
        chosen = self.maps[list(frames)]
        return chosen.to(self.network.device, non_blocking=True)

    @staticmethod
    def _rows_needed(
        kept: list[tuple[int, int, int]], ends: list[int], passes: int, slots: int
    ) -> Tensor | None:
        """Rows of (B * S) whose result the last iteration must give; None for all."""
        needed = {k * slots + slot for k, slot, _ in kept}
        needed |= {k * slots + s for k in range(passes) if k not in ends for s in range(slots)}
        return None if len(needed) == passes * slots else torch.tensor(sorted(needed))

    @staticmethod
    def _unlike(group: list[_Pass], now: list[Window], slots: int) -> tuple[Tensor, Tensor] | None:
        """Rows of (B * S) that hold different frames, and for every row which of them is its like;
        None unless all windows are fresh, where nothing but the frame tells slots apart yet."""
        if not all(window.fresh for window in now):
            return None
        names = [(k, frame) for k, window in enumerate(now) for frame in window.frames]
        first = {name: row for row, name in reversed(list(enumerate(names)))}
        rows = sorted(first.values())
        if len(rows) == len(group) * slots:
            return None
        like = [rows.index(first[name]) for name in names]
        return torch.tensor(rows), torch.tensor(like)

    def _motion(
        self, state: State, correlation: Correlation, unlike: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """The motion encoder's output (B * S, 126, h, w), computed once for rows that are alike."""
        kind = self.network.dtype
        flows = state.flows
        rows = None
        if unlike is not None:
            rows = unlike[0].to(flows.device)
            flows = flows[rows]
        lookup = correlation.lookup(own_cells(flows) + flows, rows).to(kind)
        found = self.network.update_block.motion_encoder(lookup, flows.to(kind))
        return found if unlike is None else found[unlike[1].to(flows.device)]

    def _fixed(self, context: Tensor) -> Tensor:
        """The context's share of the compressor's output, the same in every iteration: (N, 128),
        N all cells of all slots."""
        compressor = self.network.update_block.compressor
        weight = compressor.weight[:, WIDTH : 2 * WIDTH, 0, 0]
        return F.linear(_flat(context), weight, compressor.bias)

    def _step(
        self,
        state: State,
        fixed: Tensor,
        motion: Tensor,
        slots: int,
        rows: Tensor | None,
    ) -> State:
        """``AllTracker.step``; with ``rows``, only these rows' results mean anything."""
        network, block = self.network, self.network.update_block
        weight = block.compressor.weight[:, :, 0, 0].T
        small = _flat(torch.cat([state.flows, state.visconfs], 1).to(network.dtype))
        mixed = torch.addmm(fixed, _flat(state.feat), weight[:WIDTH])
        # not in place: autocast would leave that alone
        mixed = torch.addmm(mixed, _flat(motion), weight[2 * WIDTH : 3 * WIDTH - 2])
        mixed = torch.addmm(mixed, small, weight[3 * WIDTH - 2 :])
        size = state.feat.shape[-2:]
        x = mixed.view(-1, *size, WIDTH).permute(0, 3, 1, 2)
        for number, part in enumerate(block.refine):
            if number == len(block.refine) - 1 and rows is not None:
                x = x[rows]  # from here on rows do not see each other
            x = part(x) if number % 2 else part(x, slots)
        x = block.final_conv(x)
        flow, visconf = self._heads(x)
        exact = state.flows.dtype
        if rows is None:
            return State(x, state.flows + flow.to(exact), state.visconfs + visconf.to(exact))
        feat = state.feat.clone()
        flows, visconfs = state.flows.clone(), state.visconfs.clone()
        feat[rows] = x
        flows[rows] += flow.to(exact)
        visconfs[rows] += visconf.to(exact)
        return State(feat, flows, visconfs)

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both heads' outputs."""
        return self.network.flow_head(x), self.network.visconf_head(x)


def _linear(module: torch.nn.Linear, x: Tensor) -> Tensor:
    """A linear layer as a 1x1 convolution, which adds the bias on its way on CPUs; a matrix product
    would first copy it to every row."""
    cells = x.flatten(0, -2)[None, :, None].permute(0, 3, 1, 2)
    weight = module.weight[:, :, None, None].contiguous(memory_format=torch.channels_last)
    found = F.conv2d(cells, weight, module.bias)
    return found.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _flat(values: Tensor) -> Tensor:
    """(N, C, h, w) -> (N h w, C); no copy where channels lie together."""
    return values.permute(0, 2, 3, 1).flatten(0, 2)


def _together(values: Tensor) -> Tensor:
    """The same with a cell's channels side by side in memory."""
    return values.contiguous(memory_format=torch.channels_last)
