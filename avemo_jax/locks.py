"""Lock files: one process at a time, and the others log which process they wait for."""

from __future__ import annotations

import errno
import functools
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import platformdirs

from avemo_jax.cache_folders import private_temporary_folder

_NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)  # such as on Lustre, NFS without its lock service
_AGAIN_S = 600.0  # how often a waiting process logs that it still waits

_log = logging.getLogger(__name__)


class LockHeld(RuntimeError):
    """Another process holds a lock."""


@contextmanager
def locked(path: Path, what: str, *, timeout_s: float | None = None) -> Iterator[None]:
    """Hold a lock file while the block runs; while another process holds it, wait and log for what and for whom.

    The system frees the lock however its process ends. Where the file system has no locks, the existence of the file is the lock; the
    file of a process that was killed on this host is then removed by the next one, that of another host must be removed by hand.

    Args:
      path: the lock file; its folder exists. Processes on other hosts are excluded where they see the same file.
      what: what the holder does, for the message, such as "preparing mfcc of ravdess".
      timeout_s: seconds to wait; None waits until the lock is free.

    Raises:
      LockHeld: another process still holds the lock after `timeout_s`.
      OSError: the lock file cannot be written.
    """
    lock = _acquire(path, what, timeout_s)
    try:
        if isinstance(lock, filelock.UnixFileLock):  # a soft lock file has the same two lines
            with suppress(OSError):
                path.write_text(f"{os.getpid()}\n{socket.gethostname()}\n")
        yield
    finally:
        lock.release()


def user_lock(name: str) -> Path:
    """Return a lock file of this user on this host, in the user's cache folder, else in a private temporary folder.

    Other users cannot hold it: a file of a known name in the temporary folder that all users share could be locked by any of them.
    """
    folder = platformdirs.user_cache_path("avemo")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        return folder / name
    except OSError:  # no home, a read-only or full one
        pass
    return private_temporary_folder("avemo") / name


def _acquire(path: Path, what: str, timeout_s: float | None) -> filelock.BaseFileLock:
    lock: filelock.BaseFileLock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        _wait(lock, path, what, timeout_s)
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        _warn_no_locks(path.parent, error.strerror)
        soft = path.with_name(f"{path.name}.exists")  # not the file itself, which may be empty for a moment in another process too
        lock = filelock.SoftFileLock(soft)
        _wait(lock, soft, what, timeout_s)
    return lock


@functools.cache  # once a folder
def _warn_no_locks(folder: Path, reason: str) -> None:
    _log.warning("the file system of %s has no locks (%s); the existence of lock files is used in their place", folder, reason)


def _wait(lock: filelock.BaseFileLock, path: Path, what: str, timeout_s: float | None) -> None:
    left_s, try_s = timeout_s, 0.0
    while True:
        try:
            lock.acquire(timeout=try_s)
            return
        except filelock.Timeout:
            if left_s is not None:
                left_s -= try_s
                if left_s <= 0:
                    raise LockHeld(f"{_holder(path)} is {what} (lock {path})") from None
            _log.info("%s is %s; waiting for it (lock %s)", _holder(path), what, path)
            try_s = _AGAIN_S if left_s is None else min(left_s, _AGAIN_S)


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError):
        number, host = path.read_text().splitlines()[:2]
        return f"another process ({int(number)} on {host})"
    return "another process"
