"""One computation in two forms, of which XLA's platform takes one; export to formats of one form alone takes the general one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

_GENERAL_ALONE: ContextVar[bool] = ContextVar("general_alone", default=False)


def by_platform(*arguments: Any, cpu: Callable[..., Any], general: Callable[..., Any]) -> Any:
    """Return `cpu(*arguments)` in programs for CPU and `general(*arguments)` in those for other platforms; both give the same numbers."""
    if _GENERAL_ALONE.get():
        return general(*arguments)
    return jax.lax.platform_dependent(*arguments, cpu=cpu, default=general)


@contextmanager
def general_alone() -> Iterator[None]:
    """Trace the general form on every platform inside the block, as ONNX has no choice of platform."""
    token = _GENERAL_ALONE.set(True)
    try:
        yield
    finally:
        _GENERAL_ALONE.reset(token)
