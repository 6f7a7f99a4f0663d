"""How large the work is: as on a GPU, or tiny, to rehearse the whole on a CPU."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Sizes:
    """Sizes of everything that is measured.

    alltracker, unidepth: stored cases of tests/fixtures; attention: passes and cells (h, w) of a window; frames,
    height, width, plain_queries: of the clip that is tracked, and query frames of it that are tracked the plain
    way; variant: of the tracker; backends, images: depth networks and frames; matmul, copy: side of the matrices
    and bytes of the copies that ceilings are measured with; fill: bytes of a sample that does not fit.
    """

    alltracker: tuple[str, ...]
    unidepth: tuple[tuple[str, str], ...]  # variant, case
    attention: tuple[int, int, int]
    frames: int
    height: int
    width: int
    plain_queries: int
    variant: Literal["full", "tiny"]
    backends: tuple[str, ...]
    images: int
    image: tuple[int, int]
    matmul: int
    copy: int
    fill: int


REAL = Sizes(
    alltracker=("full_T16_128x192", "full_T20_136x200_q07", "tiny_T16_128x192"),
    unidepth=(("vits14", "270x480"), ("vits14", "480x854"), ("vitl14", "vitl14_270x480_small")),
    attention=(8, 96, 160),  # 720p, padded to 768x1280
    frames=50,
    height=480,
    width=854,
    plain_queries=2,
    variant="full",
    backends=("depth/depth_anything_v2_large", "metric_depth/unidepth_v2_vitl14"),
    images=96,
    image=(480, 854),
    matmul=8192,
    copy=1 << 31,
    fill=1 << 30,
)
TINY = Sizes(
    alltracker=("tiny_T02_128x192",),
    unidepth=(("vits14", "210x370"),),
    attention=(2, 2, 3),
    frames=4,
    height=64,
    width=96,
    plain_queries=1,
    variant="tiny",
    backends=("metric_depth/unidepth_v2_vits14",),
    images=3,
    image=(96, 128),
    matmul=256,
    copy=1 << 20,
    fill=1 << 10,
)
