"""How networks are run: number format of weights, memory layout, compilation, transfer of results."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dynprep.arrays import AnyArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# as Lightning's Trainer names them: weights in half precision, or only the operations that bear it
Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true"]

_GPU_SHARE, _HOST_SHARE = 0.8, 0.5  # shares of free memory that may be taken
_TRUE = {"32-true": "float32", "16-true": "float16", "bf16-true": "bfloat16"}
_MIXED = {"16-mixed": "float16", "bf16-mixed": "bfloat16"}


@dataclass(frozen=True)
class InferenceOptions:
    """Precision, memory layout and compilation of a network that only predicts.

    They are applied here and not by Lightning, whose true half precision would also change the
    number format of geometry and resizing; those stay in float32.
    """

    precision: Precision
    channels_last: bool
    compile: bool

    def weights_dtype(self) -> "torch.dtype":
        """Return the number format of the network's weights; mixed precision keeps float32 weights."""
        import torch

        dtype: torch.dtype = getattr(torch, _TRUE.get(self.precision, "float32"))
        return dtype

    def prepare(self, network: "nn.Module", device: Any, keep_float32: Sequence[str] = ()) -> None:
        """Bring a network to the device, in the number format and memory layout asked for.

        keep_float32: dotted names of inner modules whose weights and inputs stay in float32, such as
        the last layers before depth, where the steps of half precision would show (bfloat16 has 8
        significant bits, so half a percent). Names that the network does not have are skipped.
        """
        import torch

        if self.precision == "32-true":
            torch.backends.cudnn.allow_tf32 = False  # TF32 keeps 10 bits of the mantissa
        network.eval().requires_grad_(False)
        inner = [_submodule(network, name) for name in keep_float32]
        parts = [part for part in inner if part is not None]
        # the move to half precision rounds every weight, so the exact ones are put back after it
        weights = [{k: v.clone() for k, v in part.state_dict().items()} for part in parts]
        network.to(device=device, dtype=self.weights_dtype())
        for part, values in zip(parts, weights, strict=True):
            part.float().load_state_dict(values)
            _keep_float32(part)
        if self.channels_last:
            for module in network.modules():
                if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def compile_modules(self, *modules: "nn.Module") -> None:
        """Compile these modules in place by ``torch.compile``, where compilation is asked for."""
        if self.compile:
            for module in modules:
                module.compile()

    @contextmanager
    def inference(self, device: Any) -> Iterator[None]:
        """Record no gradients inside the context, and use autocast for mixed precision."""
        import torch

        with torch.inference_mode():
            if self.precision not in _MIXED:
                yield
                return
            dtype: torch.dtype = getattr(torch, _MIXED[self.precision])
            with torch.autocast(torch.device(device).type, dtype=dtype):
                yield


def _submodule(network: "nn.Module", name: str) -> "nn.Module | None":
    """The module at a dotted name, or None where the network has none."""
    for part in name.split("."):
        module = getattr(network, part, None)
        if module is None:
            return None
        network = module
    return network


def _keep_float32(module: "nn.Module") -> None:
    """Make a float32 module cast what it is given to float32, and shield it from autocast.

    Its class is exchanged for a subclass, so that copies of the module behave alike.
    """
    import torch

    kind = type(module)

    def to_float32(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return value.float()
        if isinstance(value, list | tuple):
            return type(value)(to_float32(v) for v in value)
        return value

    def forward(self: "nn.Module", *values: Any, **named: Any) -> Any:
        device = next(self.parameters()).device.type
        with torch.autocast(device, enabled=False):
            return kind.forward(
                self, *to_float32(values), **{k: to_float32(v) for k, v in named.items()}
            )

    module.__class__ = type(kind.__name__, (kind,), {"forward": forward})


def to_host(values: "Tensor") -> Callable[[], AnyArray]:
    """Start to copy a tensor of any shape to the host's memory; the returned function waits for it.

    The device can thus begin the next batch while threads wait for the last one and write it.
    """
    import torch

    if values.device.type != "cuda":
        array = values.cpu().numpy()
        return lambda: array
    pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    pinned.copy_(values, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()

    def wait() -> AnyArray:
        copied.synchronize()
        return np.array(pinned.numpy())  # a copy, so that the scarce pinned memory is freed at once

    return wait


def free_memory(device: "torch.device") -> float:
    """Return the bytes that work may take: 80 % of what is free on a GPU, else half of free RAM."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()  # what PyTorch only caches is free, too
        return _GPU_SHARE * torch.cuda.mem_get_info(device)[0]
    try:
        return _HOST_SHARE * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # systems such as macOS do not say what is free
        return _HOST_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
