"""Test that a fit ignores the clips outside its training part: change them, fit again, and compare the results bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


def changed_by(fit: Callable[[Arrays], Any], arrays: Arrays, rows: np.ndarray, *, seed: int = 0) -> list[str]:
    """Return the names of fitted values that differ when some rows of the data change.

    Args:
      fit: called with arrays; returns the fitted values: arrays, numbers and strings in mappings, sequences and dataclasses of any depth.
        Must be deterministic.
      arrays: name -> (N, ...); features, labels and masks. The rows change in every array.
      rows: (R,) int, the rows that the fit must not use.
      seed: of the replacement values, see `with_other_rows`.

    Returns:
      The sorted names of the leaves with other bytes, shape or type; empty if the fit ignores the rows.
    """
    before, after = (dict(_leaves(fit(content))) for content in (arrays, with_other_rows(arrays, rows, seed=seed)))
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def with_other_rows(arrays: Arrays, rows: np.ndarray, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Return copies of the arrays with other values of the same type in these rows.

    New floats are about 1000 times as large as the old ones, and finite. New integers (labels, pixels) lie between the smallest and the
    largest value of the array, 0 included, and all of them differ from the old ones; an array of zeros stays unchanged, because its range
    has one value.
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
    """Draw integers of the same type from low to high, each different from the old one; return the old ones if low equals high."""
    if low == high:
        return old
    # Distances from low, modulo 2**64, because a range may have more values than its type can count (0 to 255 has 256).
    start = np.uint64(low % 2**64)
    distance = old.astype(np.uint64) - start
    drawn = random.integers(0, high - low, old.shape, np.uint64)
    return (start + drawn + (drawn >= distance)).astype(old.dtype)


def _leaves(tree: Any, name: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield (dotted name, value) of every leaf; two values are equal if and only if type, shape and bytes of the leaves are."""
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
