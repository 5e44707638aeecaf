"""The measure of features near borders: zero where they depend on the moment alone, one where they are unrelated to it."""

from __future__ import annotations

import numpy as np

from benchmarks.chunk_borders import difference_by_place


def test_steps_unrelated_to_their_moment_are_found():
    rng, num_chunks, num_steps, hop = np.random.default_rng(0), 100, 40, 4
    moments = rng.normal(size=(num_chunks * hop + num_steps, 8)).astype(np.float32)
    features = np.stack([moments[hop * number :][:num_steps] for number in range(num_chunks)])
    features += rng.normal(size=(num_steps, 8)).astype(np.float32)  # positions
    features[:, :5] = rng.normal(size=(num_chunks, 5, 8))
    found = difference_by_place(features, np.arange(num_chunks) * hop * 0.02)
    np.testing.assert_allclose(found[:5], 1, atol=0.15)
    assert np.nanmax(found[5:]) < 0.2
