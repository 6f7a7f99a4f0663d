"""What every backend with a network shares: its weights, how it is run, its batches."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynprep.errors import UserError
from dynprep.models.inference import InferenceOptions, Precision
from dynprep.options import Positive
from dynprep.stages.base import NEUTRAL, Stage, Terms
from dynprep.weights import Weights
from dynprep.weights.hub import SUFFIXES

if TYPE_CHECKING:
    import torch

Sample = TypeVar("Sample")

_OTHER_SIZE = 0.2  # by how much a count of parameters may differ: counts leave out this and that


@dataclass
class Network(Stage):
    """The options of a network, mixed into a stage's kind.

    hub, revision, files: where the weights are published; checkpoint: a local copy instead; licence, commercial,
    parameters (millions): what a user should know of them; cite: keys of the papers in ``dynprep cite``. A network of
    another size than ``parameters`` is refused, unless that is None.
    """

    hub: str = field(metadata=NEUTRAL)
    revision: str = field(metadata=NEUTRAL)
    files: list[str] = field(metadata=NEUTRAL)
    checkpoint: str | None = field(metadata=NEUTRAL)
    licence: str = field(metadata=NEUTRAL)
    commercial: bool = field(metadata=NEUTRAL)
    parameters: Positive | None = field(metadata=NEUTRAL)
    cite: list[str] = field(metadata=NEUTRAL)

    uses_device = True
    group: ClassVar[str]  # of the configuration, for messages
    keep_float32: ClassVar[tuple[str, ...]] = ()  # names of inner modules that stay in float32
    unknown = tuple[str, ...]()  # names of the checkpoint's tensors that the network has no use for

    @property
    def inference(self) -> InferenceOptions:
        """Number format, memory layout and compilation."""
        return self.context.inference

    def key_options(self) -> dict[str, Any]:
        return {**super().key_options(), "inference": asdict(self.inference)}

    def in_precision(self, precision: Precision) -> Self:
        """The same network in another number format."""
        inference = replace(self.inference, precision=precision)
        return replace(self, context=replace(self.context, inference=inference))

    def location(self) -> Weights:
        """Where the weights are."""
        option = f"{self.group}.checkpoint"
        if not any(name.endswith(SUFFIXES) for name in self.files):
            raise UserError(f"{self.group}.files={self.files}: names no file of weights")
        return Weights(self.hub, self.revision, tuple(self.files), self.checkpoint, option)

    def terms(self) -> Terms:
        return Terms(self.hub, self.licence, self.commercial)

    def fetch(self, say: Callable[[str], None]) -> None:
        self.location().fetch(say)

    def weights(self) -> str:
        return self.location().identity()

    def inspect(self) -> list[str]:
        network = self.open_network()
        millions = sum(p.numel() for part in self.parts(network) for p in part.parameters()) / 1e6
        expected = self.expected_parameters
        if expected and abs(millions / expected - 1) > _OTHER_SIZE:
            raise UserError(
                f"{self.group}.checkpoint={self.checkpoint}: a network of {millions:.1f} million "
                f"parameters, this backend's has {expected:g}; choose the backend of its size"
            )
        if not self.unknown:
            return []
        return [
            f"{self.group}: {len(self.unknown)} tensors of the checkpoint are not used, e.g. {self.unknown[0]}"
        ]

    @property
    def expected_parameters(self) -> float | None:
        """Millions of parameters that the opened network has, None where any number will do."""
        return self.parameters

    def parts(self, network: Any) -> Sequence[Any]:
        """The modules that hold the parameters."""
        return [network]

    def batch(self, threads: int) -> int:
        return 1  # on a CPU a network uses all cores for one image

    def open_network(self) -> Any:
        """Open the network with its weights, on the CPU. Raises UserError for weights that do not fit."""
        raise NotImplementedError

    def setup(self, device: Any) -> None:
        import torch

        self.device: torch.device = torch.device(device)
        self.network = self.open_network()
        self.inference.prepare(self.network, self.device, self.keep_float32)
        self.inference.compile_modules(*self.modules_to_compile())

    def release(self) -> None:
        del self.network

    def modules_to_compile(self) -> Sequence[Any]:
        """The modules that are worth compiling."""
        return [self.network]

    def tensor(self, arrays: Sequence[NDArray[Any]]) -> "torch.Tensor":
        """Arrays of one shape as one tensor on the device."""
        import torch

        # NumPy stacks transposed images as they lie; the layout would change a convolution's rounding
        stacked = torch.from_numpy(np.ascontiguousarray(np.stack(arrays)))
        if self.device.type == "cuda":
            stacked = stacked.pin_memory()
        return stacked.to(self.device, non_blocking=True)


def group_by_shape(
    samples: Sequence[Sample], shape: Callable[[Sample], Hashable]
) -> Iterator[list[int]]:
    """Places of the samples that are of one shape: scenes of several sizes may share a batch."""
    places: dict[Hashable, list[int]] = {}
    for place, sample in enumerate(samples):
        places.setdefault(shape(sample), []).append(place)
    yield from places.values()
