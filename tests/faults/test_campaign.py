"""A short part of ``python -m tests.faults``; signals and kills have tests of their own."""

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.classes import CLASSES
from tests.faults.whole import forget

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.xdist_group("faults"),
]
COUNTS = {
    "inputs": 140, "records": 8, "options": 10, "names": 5, "damage": 5, "disks": 1, "power": 1, "together": 1,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def cleaned() -> Iterator[None]:
    yield
    forget()


@pytest.mark.parametrize("name", COUNTS)
def test_nothing_that_is_done_to_it_ends_badly(name: str, tmp_path: Path) -> None:
    cases = list(CLASSES[name].cases(Random(f"{name} in the suite"), COUNTS[name], tmp_path))
    assert [case for case in cases if case.fault] == []
    assert cases or name in ("disks", "power")  # which take a user that may mount
