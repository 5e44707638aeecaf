"""The replacement values of clips that a fit must not use: different, and of the same type, for every type."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.protocols.audit.fits import changed_by, with_other_rows

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
ROWS = np.arange(50, 100)


def spanning(dtype: str) -> np.ndarray:
    """Return (100, 30) integers that include the smallest and the largest number of their type."""
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max, (100, 30), dtype, endpoint=True)
    values[0, 0], values[-1, -1] = limits.min, limits.max
    return values


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_integer_of_a_full_range_changes_and_keeps_its_type(dtype):
    before = spanning(dtype)
    after = with_other_rows({"x": before}, ROWS)["x"]
    assert after.dtype == before.dtype
    assert (after[ROWS] != before[ROWS]).all()
    np.testing.assert_array_equal(after[:50], before[:50])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_change_to_other_existing_labels(dtype):
    before = (np.arange(100) % 3).astype(dtype)
    after = with_other_rows({"label": before}, ROWS)["label"]
    assert (after[ROWS] != before[ROWS]).all() and set(after[ROWS].tolist()) == {0, 1, 2}


@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_negative_integers_stay_between_the_smallest_and_the_largest(dtype):
    before = np.linspace(-100, -90, 100).astype(dtype)
    after = with_other_rows({"x": before}, ROWS)["x"]
    assert (after[ROWS] != before[ROWS]).all() and after.min() >= -100 and after.max() <= 0


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_array_of_zeros_is_unchanged_and_another_constant_changes(dtype):
    zeros, sevens = (np.full(100, value, dtype) for value in (0, 7))
    changed = with_other_rows({"zeros": zeros, "sevens": sevens}, ROWS)
    np.testing.assert_array_equal(changed["zeros"], zeros)
    assert changed["sevens"].dtype == dtype and (changed["sevens"][ROWS] < 7).all()


def test_a_fit_on_one_pixel_of_an_excluded_picture_is_detected():
    arrays = {"video": spanning("uint8"), "label": np.arange(100) % 4}
    assert changed_by(lambda data: data["video"][99, 29], arrays, ROWS) == [""]
    assert changed_by(lambda data: data["video"][:50].sum(), arrays, ROWS) == []
