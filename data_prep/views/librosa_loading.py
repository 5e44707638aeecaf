"""librosa, imported late and by one process at a time."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from types import ModuleType

from filelock import FileLock


@functools.cache
def load_librosa() -> ModuleType:
    """Import librosa and what of it compiles on import, while no other process of ours does the same.

    librosa keeps machine code beside its sources. Where two processes compile it together for the first time, as the workers of a
    fresh install do, numba can store halves that do not fit, and every later process dies of SIGSEGV in the first call (numba issue
    10128, open). Late, because it takes a second and a half, and whoever only asks for a view's shape need not wait.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0  # elsewhere the temporary folder is a user's own
    with FileLock(Path(tempfile.gettempdir()) / f"avemo-librosa-{user}.lock"):
        import librosa
        import librosa.core.audio
        import librosa.core.pitch  # librosa itself loads these on first use, which is too late
        import librosa.util.utils
    return librosa
