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
    """Return the same arrays with other content in those rows, of the same type.

    Floats come from far away but stay finite. Integers (labels, pictures) lie between the smallest and the largest that occur, 0 counted
    in, and every one of them changes; an array of zeros alone has no other value to take and stays as it is.
    """
    random = np.random.default_rng(seed)
    changed = {}
    for name in sorted(arrays):
        values = np.array(arrays[name])  # a copy
        old = values[rows]
        if values.dtype == bool:
            values[rows] = ~old
        elif np.issubdtype(values.dtype, np.integer):
            values[rows] = _other_integers(old, int(values.min(initial=0)), int(values.max(initial=0)), random)
        else:
            scale = 1000 * (1 + float(np.abs(old[np.isfinite(old)]).max(initial=0)))
            values[rows] = (random.normal(size=old.shape) * scale).astype(values.dtype)
        changed[name] = values
    return changed


def _other_integers(old: np.ndarray, low: int, high: int, random: np.random.Generator) -> np.ndarray:
    """Draw integers of the same type from low to high, each another than the old one; the old ones where low is high."""
    if low == high:
        return old
    # Distances from low, modulo 2**64: the range of a type may be one more than its largest number (0 to 255 has 256).
    start = np.uint64(low % 2**64)
    distance = old.astype(np.uint64) - start
    drawn = random.integers(0, high - low, old.shape, np.uint64)
    return (start + drawn + (drawn >= distance)).astype(old.dtype)


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
