"""AllTracker against the numbers of the published network, and its engine against the plain way."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from benchmarks import published
from benchmarks.random_weights import alltracker
from benchmarks.tracks import video
from dynprep.models import AllTracker
from dynprep.models.alltracker.correlation import Correlation, gathered, grid_sampled, pyramid
from dynprep.models.alltracker.engine import AllPairs
from dynprep.models.alltracker.network import Framing
from dynprep.models.alltracker.readout import Readout
from dynprep.models.alltracker.schedule import SLOTS, windows
from dynprep.models.alltracker.upsampling import Pixels, all_logits, upsample
from dynprep.models.inference import InferenceOptions, Precision
from tests.fixtures.alltracker import make_input, weights

FIXTURES = Path(make_input.__file__).parent
# by the marks of the case: the tiny network's long clips tell of windows what the full one's would
CASES = {
    "full_T02_128x192": (), "tiny_T02_128x192": (), "full_T05_128x192": (), "tiny_T05_128x192": (),
    "full_T16_128x192": pytest.mark.thorough, "tiny_T16_128x192": pytest.mark.slow,
    "full_T20_136x200_q07": pytest.mark.thorough, "tiny_T37_128x128": pytest.mark.thorough,
}  # fmt: skip


class Upstream:
    """The made-up weights and videos that upstream's network was run with."""

    def __init__(self) -> None:
        self.networks: dict[str, AllTracker] = {}

    def network(self, variant: str) -> AllTracker:
        if variant not in self.networks:
            self.networks[variant] = weights.fill(AllTracker(variant), 0).eval()
        return self.networks[variant]

    def video(self, frames: int, height: int, width: int) -> torch.Tensor:
        return torch.from_numpy(make_input.make_video(frames, height, width, 0))


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream()


def close(mine: np.ndarray, theirs: np.ndarray, most: float, mean: float) -> None:
    off = np.abs(mine - theirs)
    assert off.max() < most and off.mean() < mean


@pytest.mark.parity
@pytest.mark.parametrize("variant", ["full", "tiny"])
def test_weights_are_the_ones_of_the_cases(variant: str) -> None:
    shapes = json.loads((FIXTURES / f"state_dict_{variant}.json").read_text())
    wanted = json.loads((FIXTURES / "param_counts.json").read_text())[variant]
    digest = count = 0
    for name in (n for n in shapes if n not in wanted["buffers"]):
        value = weights.param_value(name, shapes[name], 0)
        digest, count = zlib.crc32(value.tobytes(), digest), count + value.size
    assert f"{digest:08x}" == wanted["values_crc32_seed0"] and count == wanted["parameters"]


@pytest.mark.parity
@pytest.mark.parametrize("variant", ["full", "tiny"])
def test_keys_are_the_published_ones(upstream: Upstream, variant: str) -> None:
    wanted = json.loads((FIXTURES / f"state_dict_{variant}.json").read_text())
    network = AllTracker(variant)
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == wanted
    network.load_published({k: torch.zeros(shape) for k, shape in wanted.items()})
    with pytest.raises(RuntimeError, match="time_emb"):
        network.load_published({k: torch.zeros(s) for k, s in wanted.items() if k != "time_emb"})


@pytest.mark.parity
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, marks in CASES.items()])
def test_numbers_are_upstreams(upstream: Upstream, name: str) -> None:
    wanted = np.load(FIXTURES / f"{name}.npz")
    frames, height, width = (int(wanted[k]) for k in ("T", "H", "W"))
    clip = upstream.video(frames, height, width)
    assert make_input.video_crc32(clip.numpy()) == int(wanted["video_crc32"])
    network = upstream.network(str(wanted["variant"]))
    flow, visconf = network.track(clip, int(wanted["query_frame"]), int(wanted["iters"]))
    assert flow.shape == visconf.shape == (frames, 2, height, width)
    told = wanted["frames"]
    close(flow[told][..., ::8, ::8].numpy(), wanted["flows_sub"], 1e-2, 1e-4)
    close(visconf[told][..., ::8, ::8].numpy(), wanted["visconfs_sub"], 1e-3, 1e-5)
    x, y = wanted["samp_xy"].transpose(2, 0, 1)
    rows = np.arange(len(told))[:, None]
    close(flow[told].numpy()[rows, :, y, x], wanted["flows_samp"], 1e-2, 1e-4)
    close(visconf[told].numpy()[rows, :, y, x], wanted["visconfs_samp"], 1e-3, 1e-5)


@pytest.mark.parity
@pytest.mark.parametrize("variant", ["full", "tiny"])
def test_what_happens_inside(upstream: Upstream, variant: str) -> None:
    """The encoder alone sees a wrong norm epsilon; the lookup a wrong order of offsets."""
    wanted = np.load(FIXTURES / f"mid_{variant}_T05_128x192.npz")
    network = upstream.network(variant)
    clip = upstream.video(5, 128, 192)
    with torch.inference_mode():
        maps = torch.cat([network.encode(frame[None]) for frame in clip])
        held = maps[[min(s, 4) for s in range(SLOTS)]]
        state, context = network.start(maps[:1], SLOTS)
        correlation = Correlation(maps[:1], [p[None] for p in pyramid(held)], 1 << 62)
        flows = []
        for _ in range(4):
            state = network.step(state, context, correlation, SLOTS)
            flows.append(state.flows)
    mine = maps[[0, 0, 1], ::8].numpy()  # the query frame, then the window
    if variant == "full":
        close(mine, wanted["fmaps_ch8"], 3e-5, 4e-6)
    else:
        close(mine, wanted["fmaps_ch8"], 3e-4, 3e-5)
    stored = wanted["flows8_iters"]
    step = maps.shape[-1] // stored.shape[-1]
    close(torch.stack(flows)[..., ::step, ::step].numpy(), stored, 1e-3, 1e-5)
    assert np.array_equal(network.time_emb.numpy(), wanted["time_emb"])


def test_one_frame_is_the_identity() -> None:
    network = AllTracker("tiny").eval()
    flow, visconf = network.track(torch.zeros(1, 3, 70, 90), 0)
    assert flow.shape == (1, 2, 70, 90) and not flow.any() and bool((visconf == 1).all())


@pytest.mark.parametrize("query", [0, 1, 2, 3])
def test_every_query_of_a_short_clip_works(upstream: Upstream, query: int) -> None:
    """Upstream fails at the second, the last but one and the last frame."""
    clip = upstream.video(4, 70, 90)
    flow, visconf = upstream.network("tiny").track(clip, query, iters=1)
    assert (
        bool(torch.isfinite(flow).all()) and 0 <= float(visconf.min()) <= float(visconf.max()) <= 1
    )
    others = [t for t in range(4) if t != query]
    assert bool((flow[others].abs().amax((1, 2, 3)) > 0).all())


def engine_of(network: AllTracker, clip: torch.Tensor, **options: float) -> AllPairs:
    with torch.inference_mode():
        maps = torch.cat([network.encode(frame[None]) for frame in clip])
    return AllPairs(network, maps, **{"iters": 4, "memory": 1e12, "together": 1, **options})  # type: ignore[arg-type]


def readout(height: int, width: int, rate: int) -> tuple[np.ndarray, Readout]:
    y, x = np.mgrid[0:height:rate, 0:width:rate]
    points = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    return points, Readout(points, (height, width), Framing(height, width), torch.device("cpu"))


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(
    ("memory", "together"),
    [*(pytest.param(1e12, k, marks=pytest.mark.thorough) for k in (1, 3)), (1e6, 1)],
)
def test_all_pairs_are_upstreams(upstream: Upstream, memory: float, together: int) -> None:
    """Kept volumes, windows of several queries together, and volumes made in pieces."""
    wanted = np.load(FIXTURES / "allpairs_full_T10_128x192.npz")
    rows = {int(query): row for row, query in enumerate(wanted["queries"])}
    queries = [0, 4, 8] if together == 1 and memory > 1e9 else [0, 9]
    network, clip = upstream.network("full"), upstream.video(10, 128, 192)
    engine = engine_of(network, clip, memory=memory, together=together)
    points, read = readout(128, 192, 8)
    stored = points[:, 0] % 16 == 0  # the file holds every other column of the grid
    flows, visconfs, seen = [], [], set()
    told = engine.tracks(queries, [read.pixels] * len(queries), [range(10)] * len(queries))
    for place, target, values in told:
        query = queries[place]
        seen.add((query, target))
        tracks = read.tracks(values).numpy()[stored]
        pair = rows[query], target
        flow = tracks[:, :2] - points[stored]
        flows.append(flow - wanted["flows_sub"][pair].reshape(2, -1).T)
        sure = np.stack([1 - tracks[:, 2], tracks[:, 3]], 1)
        visconfs.append(sure - wanted["visconfs_sub"][pair].reshape(2, -1).T)
    assert seen == {(q, t) for q in queries for t in range(10) if t != q}
    assert np.abs(flows).max() < 1e-2 and np.abs(flows).mean() < 1e-4
    assert np.abs(visconfs).max() < 1e-3 and np.abs(visconfs).mean() < 1e-5


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_the_engine_leaves_the_network_as_it_was(precision: Precision) -> None:
    network, clip = alltracker("tiny"), video(4, 64, 96)
    options = InferenceOptions(precision, channels_last=False, compile=False)
    options.prepare(network, "cpu", ("flow_head.2", "visconf_head.2"))
    before = network.track(clip, 1, iters=2)
    strides = {name: value.stride() for name, value in network.named_parameters()}
    engine = engine_of(network, clip, iters=2)
    _, read = readout(64, 96, 8)
    first = [v for *_, v in engine.tracks([1], [read.pixels], [range(4)])]
    after = network.track(clip, 1, iters=2)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert strides == {name: value.stride() for name, value in network.named_parameters()}
    assert not any("forward" in vars(module) for module in network.modules())
    # a second engine shares the first one's copies, until the weights change
    assert engine_of(network, clip).parts is engine.parts
    with torch.no_grad():
        network.flow_head[2].weight.mul_(2)
    other = engine_of(network, clip, iters=2)
    second = [v for *_, v in other.tracks([1], [read.pixels], [range(4)])]
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_engine_compiles_what_was_compiled() -> None:
    network = alltracker("tiny")
    network.update_block.motion_encoder.compile()
    block = AllPairs(network, torch.zeros(2, 128, 16, 16), 1, 1e9, 1).parts.update_block
    assert block.motion_encoder._compiled_call_impl is not None
    assert block.final_conv._compiled_call_impl is None


@pytest.mark.thorough
def test_the_engine_skips_nothing_that_matters(upstream: Upstream) -> None:
    """Several windows, an odd size, a stride that does not divide a cell: as ``track`` gives."""
    network, clip = upstream.network("tiny"), upstream.video(18, 70, 100)
    points, read = readout(70, 100, 3)
    x, y = points.astype(int).T
    flow, visconf = network.track(clip, 1)
    engine = engine_of(network, clip, together=2)
    seen = {}
    for _, target, values in engine.tracks([1], [read.pixels], [range(18)]):
        seen[target] = read.tracks(values).numpy()
    assert sorted(seen) == [0, *range(2, 18)]
    for target, tracks in seen.items():
        there = points + flow[target].numpy()[:, y, x].T
        close(tracks[:, :2], there, 1e-2, 1e-4)
        close(1 - tracks[:, 2], visconf[target, 0].numpy()[y, x], 1e-3, 1e-5)
        close(tracks[:, 3], visconf[target, 1].numpy()[y, x], 1e-3, 1e-5)
    # a few targets of a long pass are the same numbers, though fewer windows are run
    few = {t: v for _, t, v in engine.tracks([1], [read.pixels], [{0, 3, 17}])}
    assert sorted(few) == [0, 3, 17]
    for target, values in few.items():
        close(read.tracks(values).numpy(), seen[target], 1e-3, 1e-5)


@pytest.mark.slow
@given(
    frames=st.integers(2, 19),
    size=st.tuples(st.integers(64, 110), st.integers(64, 110)),
    rate=st.integers(1, 9),
    data=st.data(),
)
@settings(max_examples=4)
def test_the_engine_gives_what_track_gives(
    upstream: Upstream, frames: int, size: tuple[int, int], rate: int, data: st.DataObject
) -> None:
    """Any length, size and stride, any query frame, kept volumes and volumes made in pieces."""
    query = data.draw(st.integers(0, frames - 1), label="query")
    memory = data.draw(st.sampled_from([1e12, 1e6]), label="memory")
    network, clip = upstream.network("tiny"), upstream.video(frames, *size)
    points, read = readout(*size, rate)
    x, y = points.astype(int).T
    flow, visconf = network.track(clip, query, iters=2)
    engine = engine_of(network, clip, iters=2, memory=memory)
    seen = set()
    for _, target, values in engine.tracks([query], [read.pixels], [range(frames)]):
        seen.add(target)
        tracks = read.tracks(values).numpy()
        close(tracks[:, :2], points + flow[target].numpy()[:, y, x].T, 1e-2, 1e-4)
        close(1 - tracks[:, 2], visconf[target, 0].numpy()[y, x], 1e-3, 1e-5)
        close(tracks[:, 3], visconf[target, 1].numpy()[y, x], 1e-3, 1e-5)
    assert seen == set(range(frames)) - {query}


@given(st.integers(1, 200))
@settings(max_examples=60)
def test_every_frame_has_one_result(length: int) -> None:
    results = [frame for window in windows(length) for _, frame in window.results]
    first = 1 if length <= 2 else 0
    assert results == list(range(first, length)) or (length == 1 and not results)
    for window in windows(length):
        assert all(window.frames[slot] == frame for slot, frame in window.results)
        assert len(window.frames) == (1 if length == 2 else SLOTS)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
@settings(max_examples=40)
def test_reading_by_hand_is_reading_by_grid_sample(height: int, width: int, seed: int) -> None:
    made = torch.Generator().manual_seed(seed)
    volume = torch.randn(6, height, width, generator=made)
    at = torch.rand(6, 2, generator=made) * 30 - 10
    assert torch.allclose(gathered(volume, at), grid_sampled(volume, at), atol=1e-4)


@given(st.integers(0, 1000))
@settings(max_examples=15)
def test_pixels_read_what_upsampling_gives(seed: int) -> None:
    made = torch.Generator().manual_seed(seed)
    network = AllTracker("tiny")
    feat = torch.randn(2, 128, 4, 5, generator=made)
    values = torch.randn(2, 4, 4, 5, generator=made)
    x = torch.randint(0, 40, (30,), generator=made)
    y = torch.randint(0, 32, (30,), generator=made)
    with torch.inference_mode():
        logits = all_logits(network.upsample_weight, feat)
        whole = torch.cat([upsample(values[:, :2], logits), upsample(values[:, 2:], logits)], 1)
        read = Pixels(x, y, (4, 5)).read(network.upsample_weight, feat, values)
    assert torch.allclose(read, whole[:, :, y, x].transpose(1, 2), atol=1e-4)


def test_reading_at_another_size_keeps_pixel_centres() -> None:
    """A flow that is linear over the network's pixels is linear over the image's."""
    framing = Framing(64, 96)
    y, x = np.mgrid[0:100:7, 0:150:7]
    points = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    read = Readout(points, (100, 150), framing, torch.device("cpu"))
    top, left = framing.corner
    rows, columns = framing.padded
    xs = torch.arange(columns, dtype=torch.float32).expand(rows, -1) - left
    ys = torch.arange(rows, dtype=torch.float32)[:, None].expand(-1, columns) - top
    # a zoom by two about the network's origin (its corner is at -0.5)
    flat = torch.stack([xs + 0.5, ys + 0.5, torch.ones_like(xs), torch.ones_like(xs)], -1)
    size = framing.cells
    places = torch.empty(len(read.pixels.cell), dtype=torch.long)
    for place, rows_of in read.pixels.groups:
        cell = read.pixels.cell[rows_of]
        cy, cx = cell // size[1] * 8 + place // 8, cell % size[1] * 8 + place % 8
        places[rows_of] = cy * columns + cx
    tracks = read.tracks(flat.reshape(-1, 4)[places]).numpy()
    inside = (points > 1).all(1) & (points[:, 0] < 148) & (points[:, 1] < 98)  # not clamped
    assert np.allclose(tracks[inside, :2] + 0.5, 2 * (points[inside] + 0.5), atol=1e-3)
    assert np.allclose(tracks[:, 2:], [0, 1], atol=1e-6)


@torch.inference_mode()
def test_an_iteration_is_the_published_one() -> None:
    network = alltracker("tiny")
    maps = network.encode(video(SLOTS, 128, 128))
    state, context = network.start(maps[:1], SLOTS)
    correlation = Correlation(maps[:1], [level[None] for level in pyramid(maps)], 1 << 62)
    levels = published.volumes(maps[0], maps)
    plain = state
    for _ in range(2):
        state = network.step(state, context, correlation, SLOTS)
        plain = published.step(network, plain, context, levels)
    assert float(plain.flows.abs().max()) > 0.01  # cells: there is something to compare
    torch.testing.assert_close(state.flows, plain.flows, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(state.feat, plain.feat, atol=1e-3, rtol=1e-3)


def test_attention_over_time_never_passes_what_cudas_grid_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CUDA's kernels launch with the batch on an axis of 65,535 places; 720p makes more sequences."""
    from dynprep.models.alltracker.update import _Attention

    torch.manual_seed(0)
    attention = _Attention().eval()
    x = torch.randn(2, 2, 40_000, 128)
    batches = []
    usual = F.scaled_dot_product_attention

    def counted(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        batches.append(len(q))
        return usual(q, k, v)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    with torch.inference_mode():
        mixed = attention(x)
        assert batches == [65_535, 80_000 - 65_535]
        part = attention(x[1:, :, 30_000:])
    assert torch.allclose(mixed[1:, :, 30_000:], part, atol=1e-5)
