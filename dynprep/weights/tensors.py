"""Tensors of a checkpoint file, read without running anything that is in it."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynprep.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

_WRAPPED = ("model", "state_dict")  # keys under which checkpoints hide their tensors


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Every tensor of a .safetensors or torch file by name; raises UserError for what is damaged
    or would run code."""
    import torch

    content = read_checkpoint(path)
    for key in _WRAPPED:
        if isinstance(content.get(key), dict):
            content = content[key]
    if not content:
        raise UserError(f"{path}: holds no tensors by name; it is no checkpoint")
    return {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}


def read_checkpoint(path: Path) -> dict[Any, Any]:
    """Everything by name in a .safetensors or torch file, which may keep more than tensors, such as a network's sizes.

    Raises UserError for what is damaged or would run code.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"{path}: no file of weights that can be read; check the path")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with warnings.catch_warnings():  # about pickles of other versions; they are refused or read
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=_zipped(path))
    except pickle.UnpicklingError as error:
        raise (refused if _pickled(path) else damaged)(path, error) from None
    except Exception as error:  # whatever the libraries find wrong with the file
        raise damaged(path, error) from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no tensors by name; it is no checkpoint")
    return content


def refused(path: Path, error: Exception) -> UserError:
    """For a pickle that holds more than tensors."""
    called = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f" (it calls {called.group(1)})" if called else ""
    return UserError(
        f"{path}: refused, it holds more than tensors{what}, and reading it would run that code; "
        "get the .safetensors file, or a file of tensors alone"
    )


def damaged(path: Path, error: Exception) -> UserError:
    """For a file that is cut short or something else."""
    why = str(error).strip().splitlines()
    return UserError(
        f"{path}: damaged or no checkpoint ({why[0][:120] if why else type(error).__name__}); "
        "fetch it again"
    )


def fit(
    network: "nn.Module", tensors: "Mapping[str, Tensor]", unused: tuple[str, ...], where: str
) -> tuple[str, ...]:
    """Load ``tensors`` into ``network``; return the names that it does not know, but for those that ``unused`` begins.

    A published checkpoint may hold more than inference needs. Raises UserError saying what is missing or of another
    size.
    """
    wanted = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    missing = sorted(wanted.keys() - tensors.keys())
    other = sorted(
        k for k in wanted.keys() & tensors.keys() if wanted[k] != tuple(tensors[k].shape)
    )
    if message := mismatch(missing, [(k, tuple(tensors[k].shape), wanted[k]) for k in other]):
        raise UserError(f"{where}: {message}")
    network.load_state_dict({k: tensors[k] for k in wanted}, strict=True)
    unknown = sorted(tensors.keys() - wanted.keys())
    return tuple(name for name in unknown if not name.startswith(unused))


def mismatch(missing: list[str], other: list[tuple[str, tuple[int, ...], tuple[int, ...]]]) -> str:
    """What is wrong with a checkpoint's keys, in one line; empty if nothing is.

    other: names of tensors of another size, with the checkpoint's and the network's.
    """
    parts = []
    if other:
        name, content, wanted = other[0]
        parts.append(
            f"weights of another size: {len(other)} tensors differ, e.g. {name} is "
            f"{'x'.join(map(str, content))}, not {'x'.join(map(str, wanted))}"
        )
    if missing:
        parts.append(f"{len(missing)} tensors are missing, e.g. {missing[0]}")
    return "; ".join(parts) + "; it is another model's checkpoint" if parts else ""


def _pickled(path: Path) -> bool:
    """Whether a file begins like torch's formats; an error page or a Git LFS pointer does not."""
    with path.open("rb") as file:
        return file.read(2)[:1] in (b"P", b"\x80")


def _zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"  # torch's format since 1.6; only it can be mapped
