"""librosa is imported behind a lock, and all of it that compiles on import at once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
    import sys

    import avemo_jax.locks

    COMPILED = ("librosa.core.audio", "librosa.core.pitch", "librosa.util.utils")
    seen = []

    class Lock:
        def __init__(self, path, what):
            pass

        def __enter__(self):
            seen.append([name for name in COMPILED if name in sys.modules])

        def __exit__(self, *_):
            seen.append([name for name in COMPILED if name in sys.modules])

    avemo_jax.locks.locked = Lock
    from data_prep.views.librosa_loading import load_librosa

    assert load_librosa() is sys.modules["librosa"] and load_librosa() is load_librosa()
    assert seen == [[], list(COMPILED)], seen
"""


def test_what_compiles_on_import_does_so_once_behind_the_lock():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    subprocess.run([sys.executable, "-c", textwrap.dedent(SCRIPT)], check=True, env=environment)
