"""Locks of every kind: one holder at a time, freed when they are given back."""

import errno
import os
from pathlib import Path

import pytest

from dynprep.errors import UserError
from dynprep.store import Store, locks
from dynprep.store.locks import Busy, Lock, LockKind, working_kind

KINDS: list[LockKind] = ["flock", "fcntl", "lease"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_holder_at_a_time(kind: LockKind, tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with Lock(path, kind).hold(), pytest.raises(Busy), Lock(path, kind).hold(wait=False):
        pass
    with Lock(path, kind).hold(wait=False):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", KINDS)
def test_a_child_that_was_forked_meanwhile_does_not_hold_it_on(
    kind: LockKind, tmp_path: Path
) -> None:
    path = tmp_path / "a.lock"
    read, write = os.pipe()
    with Lock(path, kind).hold():
        child = os.fork()
        if child == 0:
            os.read(read, 1)
            os._exit(0)
    try:
        with Lock(path, kind).hold(wait=False):
            pass
    finally:
        os.write(write, b"x")
        os.waitpid(child, 0)


def test_a_lease_whose_holder_is_gone_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text("gone 1")
    os.utime(path, (1e9, 1e9))
    with Lock(path, "lease").hold():
        assert path.exists()
    assert not path.exists()


@pytest.mark.parametrize(
    "number",
    [errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EIO, errno.EBADF],
)
def test_where_flock_fails_another_kind_is_taken_and_said(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = locks._lock_file

    def failing(file: int, kind: LockKind) -> None:
        if kind == "flock":
            raise OSError(number, os.strerror(number))
        real(file, kind)

    monkeypatch.setattr(locks, "_lock_file", failing)
    told: list[str] = []
    store = Store(tmp_path / "store", say=told.append)
    assert store.lock_kind == "fcntl" and "flock does not work" in told[0]
    assert Store(tmp_path / "store").lock_kind == "fcntl"

    def none(file: int, kind: LockKind) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks, "_lock_file", none)
    (tmp_path / "locks").mkdir()
    assert working_kind(tmp_path / "locks") == "lease"


def test_a_folder_in_which_no_lock_works_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(self: Lock) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Lock, "_take", none)
    with pytest.raises(UserError, match="no lock works there"):
        Store(tmp_path / "store")
