"""Showing that what is fitted does not depend on clips which it must not see: they are changed, and nothing may change by a single bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


def changed_by(fit: Callable[[Arrays], Any], arrays: Arrays, rows: np.ndarray, *, seed: int = 0) -> list[str]:
    """Fit twice, the second time with other content in some rows, and name what came out different.

    Args:
      fit: from arrays to whatever is fitted: arrays, numbers, words, in mappings, sequences and dataclasses of any depth. Must draw no
        random numbers of its own.
      arrays: name -> (N, ...); every array gets other rows: labels and masks as well as features.
      rows: (R,) int, the rows that must not be seen.
      seed: of what takes their place: finite and far from what stood there.

    Returns:
      The names of the leaves whose bytes differ, or whose shape or type does; empty where the rows do not matter.
    """
    before, after = (dict(_leaves(fit(content))) for content in (arrays, with_other_rows(arrays, rows, seed=seed)))
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def with_other_rows(arrays: Arrays, rows: np.ndarray, *, seed: int = 0) -> dict[str, np.ndarray]:
    """The same arrays with other content in those rows: far away but finite, of the same type, labels among those that occur."""
    random = np.random.default_rng(seed)
    changed = {}
    for name in sorted(arrays):
        values = np.array(arrays[name])  # a copy
        old = values[rows]
        if values.dtype == bool:
            values[rows] = ~old
        elif np.issubdtype(values.dtype, np.integer):
            low, high = int(values.min(initial=0)), int(values.max(initial=0))
            drawn = random.integers(low, high + 1, old.shape).astype(values.dtype)
            values[rows] = np.where(drawn == old, low + (old - low + 1) % max(high - low + 1, 1), drawn)
        else:
            scale = 1000 * (1 + float(np.abs(old[np.isfinite(old)]).max(initial=0)))
            values[rows] = (random.normal(size=old.shape) * scale).astype(values.dtype)
        changed[name] = values
    return changed


def _leaves(tree: Any, name: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every leaf as (dotted name, something that is equal where and only where the leaf is, byte for byte)."""
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        tree = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    if isinstance(tree, Mapping):
        for key in tree:
            yield from _leaves(tree[key], f"{name}.{key}" if name else str(key))
    elif isinstance(tree, list | tuple):
        for index, one in enumerate(tree):
            yield from _leaves(one, f"{name}.{index}" if name else str(index))
    elif isinstance(tree, str | bytes | None):
        yield name, (tree,)
    else:
        array = np.asarray(tree)
        yield name, (array.dtype.str, array.shape, array.tobytes())
