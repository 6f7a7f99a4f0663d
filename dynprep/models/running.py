"""How networks are run: number format, memory layout, compilation."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true"]

_OF_A_GPU, _OF_A_HOST = 0.8, 0.5  # shares of free memory that are taken
_TRUE = {"32-true": "float32", "16-true": "float16", "bf16-true": "bfloat16"}
_MIXED = {"16-mixed": "float16", "bf16-mixed": "bfloat16"}


@dataclass(frozen=True)
class Running:
    """Applied here and not by Lightning, whose true half precision would also change the number
    format of geometry and resizing, which stay in float32."""

    precision: Precision
    channels_last: bool
    compile: bool

    def dtype(self) -> "torch.dtype":
        """Of the weights."""
        import torch

        kind: torch.dtype = getattr(torch, _TRUE.get(self.precision, "float32"))
        return kind

    def prepare(self, network: "nn.Module", device: Any, exact: Sequence[str] = ()) -> None:
        """Bring a network to the device, in the number format and layout asked for.

        exact: names of inner modules that stay in float32: the last ones before depth, whose steps
        would show (bfloat16 has 8 bits, half a percent).
        """
        import torch

        if self.precision == "32-true":
            torch.backends.cudnn.allow_tf32 = False  # else convolutions keep 10 bits
        network.eval().requires_grad_(False)
        parts = [part for name in exact if (part := _inner(network, name)) is not None]
        kept = [{k: v.clone() for k, v in part.state_dict().items()} for part in parts]
        network.to(device=device, dtype=self.dtype())
        for part, values in zip(parts, kept, strict=True):
            part.float().load_state_dict(values)
            _run_exactly(part)
        if self.channels_last:
            for module in network.modules():
                if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def compiled(self, *parts: "nn.Module") -> None:
        """Compile the parts that do the work, where it is asked for."""
        if self.compile:
            for part in parts:
                part.compile()

    @contextmanager
    def inference(self, device: Any) -> Iterator[None]:
        """No gradients; mixed precision where it is asked for."""
        import torch

        with torch.inference_mode():
            if self.precision not in _MIXED:
                yield
                return
            kind: torch.dtype = getattr(torch, _MIXED[self.precision])
            with torch.autocast(torch.device(device).type, dtype=kind):
                yield


def _inner(network: "nn.Module", name: str) -> "nn.Module | None":
    for part in name.split("."):
        found = getattr(network, part, None)
        if found is None:
            return None
        network = found
    return network


def _run_exactly(module: "nn.Module") -> None:
    """Make a float32 module take tensors of any format, and autocast leave it alone."""
    import torch

    inner = module.forward

    def exactly(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return value.float()
        if isinstance(value, list | tuple):
            return type(value)(exactly(v) for v in value)
        return value

    def forward(*values: Any, **named: Any) -> Any:
        device = next(module.parameters()).device.type
        with torch.autocast(device, enabled=False):
            return inner(*exactly(values), **{k: exactly(v) for k, v in named.items()})

    module.forward = forward  # type: ignore[method-assign]


def to_host(values: "Tensor") -> Callable[[], NDArray[Any]]:
    """Start to bring a tensor to memory; the returned function waits for it.

    So that the device begins the next batch while threads wait for, and write, the last one.
    """
    import torch

    if values.device.type != "cuda":
        array = values.cpu().numpy()
        return lambda: array
    pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    pinned.copy_(values, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]
    done.record()

    def wait() -> NDArray[Any]:
        done.synchronize()
        return np.array(pinned.numpy())  # pinned memory is scarce: given back at once

    return wait


def free_memory(device: "torch.device") -> float:
    """Bytes that work may take: most of what is free on a GPU, half of it elsewhere."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
        return _OF_A_GPU * torch.cuda.mem_get_info(device)[0]
    try:
        return _OF_A_HOST * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # systems that do not tell
        return _OF_A_HOST * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
