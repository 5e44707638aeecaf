"""Settings of all tests: compiler options, set before any test imports JAX, and the order of the test files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests spend most of their time in the compiler, so it optimises less and caches its programs. Processes that tests start inherit these
# variables; values that are already set stay.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")

# Folders of files that take minutes each. They start first, so that at the end no core waits for one of them.
_LONGEST_FIRST = ("integration", "experiment", "comparison", "training", "benchmarks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the tests of a file stay together and in their order."""

    def place(item: pytest.Item) -> int:
        return _LONGEST_FIRST.index(item.path.parent.name) if item.path.parent.name in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=place)
