"""The kinds of packed files, by the name that ``layout.pack`` chooses one with."""

from typing import Literal

from dynprep.packing.container import Container
from dynprep.packing.npz import NpzContainer
from dynprep.packing.zarr_zip import ZarrContainer

PackKind = Literal["npz", "zarr"]
CONTAINERS: dict[PackKind, Container] = {"npz": NpzContainer(), "zarr": ZarrContainer()}
