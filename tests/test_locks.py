"""Locks: one process at a time, whatever the file system, and a waiting process names the one that it waits for."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import threading

import pytest

from avemo_jax import locks
from avemo_jax.locks import LockHeld, locked, user_lock


@pytest.fixture(params=[None, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=["flock", "ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def file_system(request, monkeypatch):
    """One with flock, and ones without: Lustre, NFS without its lock service."""
    if request.param is not None:

        def flock(descriptor, operation):
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", flock)
    return request.param


def test_a_lock_excludes_others_and_names_its_holder(tmp_path, file_system, caplog):
    path = tmp_path / ".set.lock"
    for _ in range(2):
        held = pytest.raises(LockHeld, match=rf"another process \({os.getpid()} on .*\) is preparing mfcc of tiny \(lock {path}")
        with locked(path, "preparing mfcc of tiny"), held, locked(path, "preparing mfcc of tiny", timeout_s=0):
            pass
    assert ("has no locks" in caplog.text) == (file_system is not None)


def test_a_waiting_process_says_what_for_and_goes_on(tmp_path, file_system, caplog):
    path, order, waiting = tmp_path / ".set.lock", [], threading.Event()

    def second():
        with locked(path, "preparing mfcc of tiny"):
            order.append("second")

    class Notices:
        def filter(self, record):
            waiting.set() if "waiting for it" in record.getMessage() else None
            return True

    notices = Notices()
    locks._log.addFilter(notices)
    try:
        with caplog.at_level("INFO"), locked(path, "preparing mfcc of tiny"):
            thread = threading.Thread(target=second)
            thread.start()
            assert waiting.wait(timeout=30)
            order.append("first")
        thread.join(timeout=30)
    finally:
        locks._log.removeFilter(notices)
    assert order == ["first", "second"]
    assert f"another process ({os.getpid()} on " in caplog.text and "is preparing mfcc of tiny; waiting for it" in caplog.text


def test_a_lock_is_free_after_an_error(tmp_path, file_system):
    path = tmp_path / ".set.lock"
    with pytest.raises(KeyError), locked(path, "failing"):
        raise KeyError
    with locked(path, "failing", timeout_s=0):
        pass


def test_the_lock_of_a_user_is_where_others_cannot_hold_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert user_lock("librosa.lock") == tmp_path / "cache" / "avemo" / "librosa.lock"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # as with a home that cannot be written
    own = tmp_path / f"avemo-{os.getuid()}"
    assert user_lock("librosa.lock") == own / "librosa.lock" and own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)
    assert user_lock("librosa.lock").parent.parent == tmp_path and user_lock("librosa.lock").parent != own
    own.chmod(0o700)
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    assert user_lock("librosa.lock").parent != own
