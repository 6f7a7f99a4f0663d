"""The machine: Python and packages, PyTorch and its devices, memory and disk."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from dynprep.checks.line import Line, Mark
from dynprep.files import free_bytes, human_bytes
from dynprep.models.inference import free_memory
from dynprep.pipeline.devices import nvidia_driver, why_no_gpu
from dynprep.pipeline.trainer import TrainerOptions
from dynprep.version import __version__

_LITTLE_MEMORY = 4 * 2**30  # bytes below which the larger networks do not load on a CPU


def about_machine(trainer: TrainerOptions, places: dict[str, Path]) -> Iterator[Line]:
    """Lines on everything but the networks. places: by option, the folders that a run writes to."""
    yield Line("python", Mark.OK, f"{platform.python_version()}, dynprep {__version__}")
    yield _packages()
    yield from _torch(trainer)
    yield _memory()
    for option, folder in places.items():
        free = free_bytes(folder)
        yield Line("disk", Mark.OK, f"{human_bytes(free)} free at {option}={folder}")


def _packages() -> Line:
    """Whether every package that dynprep needs is here, in a version that it was tried with."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in requires("dynprep") or []]
    except PackageNotFoundError:
        return Line("packages", Mark.NOTE, "dynprep itself is not installed, so none are compared")
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = []
    for one in needed:
        try:
            installed = version(one.name)
        except PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(installed, prereleases=True):
            wrong.append(f"{one.name} is {installed}, {one.specifier} is needed")
    if wrong:
        text = f"{'; '.join(wrong)}: install dynprep again, or these packages"
        return Line("packages", Mark.WRONG, text)
    return Line("packages", Mark.OK, f"all {len(needed)} are here in versions that fit")


def _torch(trainer: TrainerOptions) -> Iterator[Line]:
    import torch

    built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    yield Line("torch", Mark.OK, f"{torch.__version__}, built {built}")
    kind = trainer.resolve(1, uses_device=True)["accelerator"]
    if kind == "gpu":
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            yield Line(
                "gpu",
                Mark.OK,
                f"{torch.cuda.get_device_name(number)}, driver {nvidia_driver() or 'unknown'}, "
                f"{human_bytes(free)} of {human_bytes(total)} free",
                {"free": free, "total": total},
            )
    elif why := why_no_gpu():
        yield Line("gpu", Mark.NOTE, why)
    else:
        yield Line("gpu", Mark.NOTE, f"networks run on this machine's {kind.upper()}")


def _memory() -> Line:
    import torch

    # half of what is free counts as free for work
    free = 2 * free_memory(torch.device("cpu"))
    text = f"{human_bytes(int(free))} free"
    if free < _LITTLE_MEMORY:
        return Line("memory", Mark.NOTE, f"{text}: large networks will not fit", {"free": free})
    return Line("memory", Mark.OK, text, {"free": free})
