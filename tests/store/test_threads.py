"""Arrays are read from several threads at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dynprep.files import read_array


def test_many_threads_read_many_arrays(tmp_path: Path) -> None:
    for k in range(8):
        np.save(tmp_path / f"{k}.npy", np.full((3, 4), k, np.float32))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: read_array(tmp_path / f"{n % 8}.npy").sum(), range(8000)))
    assert found == [12.0 * (n % 8) for n in range(8000)]
