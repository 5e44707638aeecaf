"""Folders for the caches of libraries where the home folder is absent or read-only, as it is for the user of a container."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

# Variable -> folder below ours. matplotlib, numba (compiled functions of librosa), Hugging Face; the others follow XDG.
_VARIABLES = {
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "HF_HOME": "huggingface",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "config",
}


def set_up_caches(prepared_dir: Path | str) -> Path | None:
    """Let libraries write their caches below `prepared_dir`, else below the temporary folder, if the home folder cannot be written.

    Variables that are set already stay. Call it before any library is imported; processes that are started later inherit it.

    Returns:
      The folder, or None where the home folder is used.
    """
    home = _home()
    if home is not None and not home.is_dir():  # nothing makes a home folder that is not there, not even root
        home = None
    if home is not None and can_write(home / ".cache"):
        return None
    folder = Path(prepared_dir).absolute() / "caches"
    if not can_write(folder):
        folder = private_temporary_folder("avemo-caches")
    for name, below in _VARIABLES.items():
        os.environ.setdefault(name, str(folder / below))
    if home is None:  # libraries that ask for ~ would fail, or write into the working directory
        os.environ["HOME"] = str(folder)
    for path in (folder, *(Path(os.environ[name]) for name in _VARIABLES)):
        if can_write(path):
            path.mkdir(parents=True, exist_ok=True)
    return folder


def can_write(path: Path) -> bool:
    """Return whether files can be written in a folder, or where it does not exist, whether it can be made; nothing is made."""
    existing = next(one for one in (path.absolute(), *path.absolute().parents) if os.path.lexists(one))
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _home() -> Path | None:
    home = os.path.expanduser("~")
    return Path(home) if os.path.isabs(home) else None


def private_temporary_folder(name: str) -> Path:
    """Return a folder of this user, of that name and the user's number, that others cannot write.

    The temporary folder is shared by all users. Caches hold code, and a lock file that others can open is one that they can hold.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"{name}-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix=f"{name}-"))  # another user has made it
