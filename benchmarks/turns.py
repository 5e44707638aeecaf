"""What a side of a comparison waits for before its turn."""

from __future__ import annotations

import time

_PAUSE_S = 0.5


def rest() -> None:
    """Let threads of the side before come to rest: TensorFlow's above all look for work for a while, on the cores of the next side."""
    time.sleep(_PAUSE_S)
