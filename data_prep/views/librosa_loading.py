"""librosa, imported late and by one process at a time."""

from __future__ import annotations

import functools
from types import ModuleType


@functools.cache
def load_librosa() -> ModuleType:
    """Import librosa and those of its modules that compile on import, while no other process of ours does the same.

    librosa stores machine code beside its sources. Where two processes compile it at the same time, as the workers of a fresh install do,
    numba can store halves that do not fit, and every later process dies of SIGSEGV in the first call (numba issue 10128, open). The import
    is late because it is slow, and the shape and the parameters of a view do not need it.
    """
    from avemo_jax.locks import locked, user_lock  # late, as librosa itself

    with locked(user_lock("librosa.lock"), "importing librosa, which compiles on its first import"):
        import librosa
        import librosa.core.audio
        import librosa.core.pitch  # librosa itself loads these on first use, which is too late
        import librosa.util.utils
    return librosa
