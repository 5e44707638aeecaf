"""Finished prepared sets: found by their key, checked, and where damaged made anew."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from avemo_jax.data.prepared import DamagedSet, PreparedSet, verify
from avemo_jax.locks import locked

_log = logging.getLogger(__name__)


def find_finished(directory: Path, key: str, *, verified: bool = False) -> PreparedSet | None:
    """Return the finished set in a directory; None where there is none or, with a warning, where it is damaged.

    A whole set is only read, so its folder may be read-only.

    Args:
      directory: of the set.
      key: that the set must have.
      verified: read all its examples, compare them with its content hash, and delete a damaged set; else only its small files are
        checked. Do not call it so while `making` the set.

    Raises:
      ValueError: the directory holds another set, or one of a later version.
    """
    if not directory.exists():
        return None
    try:
        prepared = PreparedSet.open(directory)
        if prepared.manifest.key != key:
            raise ValueError(
                f"{directory} holds a set with the key {prepared.manifest.key[:20]}..., expected {key[:20]}...: it was renamed or is "
                "another's; move it away, or set another --config.prepared_dir"
            )
        if verified:
            verify(prepared)
            _log.info("%s: all %d examples are as they were made", directory, prepared.manifest.num_examples)
    except (DamagedSet, FileNotFoundError) as error:
        _log.warning("a prepared set is damaged and will be made anew: %s", error)
        if verified:  # at once: whoever makes it may check only the small files
            with making(directory, directory.name):
                try:
                    verify(PreparedSet.open(directory))  # another process may have made it anew meanwhile
                except (DamagedSet, FileNotFoundError):
                    remove_damaged(directory)
        return None
    return prepared


@contextmanager
def making(directory: Path, what: str) -> Iterator[None]:
    """Hold the lock of a set while the block finds or makes it; other processes that need the set wait.

    Raises:
      PermissionError: the set is not there, and its folder is read-only.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(directory.with_name(f".{directory.name}.lock"), f"preparing {what}"))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise PermissionError(
                f"{directory} is not prepared, and {directory.parent} is read-only ({error.strerror}); prepare it where the folder can be "
                "written, or set --config.prepared_dir to another folder"
            ) from error
        yield


def remove_damaged(directory: Path) -> None:
    """Delete what is left of a damaged set, whose content is about to be made anew; call it while `making` the set."""
    if directory.exists():
        shutil.rmtree(directory)


def partial_of(directory: Path) -> Path:
    """Return the folder in which a set is made, beside the folder where it will lie."""
    return directory.with_name(f"{directory.name}.partial")


def remove_partial(directory: Path) -> None:
    """Delete the `.partial` folder of a finished set: a process that was killed just after it had finished the set leaves it behind.

    Do not call it while `making` the set. Where the folder cannot be written nothing is deleted.
    """
    if partial_of(directory).exists():
        with suppress(OSError), making(directory, directory.name):
            shutil.rmtree(partial_of(directory), ignore_errors=True)
