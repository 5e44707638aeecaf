"""What all tests share: how JAX compiles, set before any of them imports it, and which files are started first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests spend their time in the compiler: it works quickly rather than well, and does nothing twice. Inherited by the processes that tests
# start; a value that is set already stays.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")

# Folders whose files take minutes each. They are started first, so that no core waits at the end for one of them.
_LONGEST_FIRST = ("integration", "experiment", "comparison", "training", "benchmarks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the tests of a file stay together and in their order."""

    def place(item: pytest.Item) -> int:
        return _LONGEST_FIRST.index(item.path.parent.name) if item.path.parent.name in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=place)
