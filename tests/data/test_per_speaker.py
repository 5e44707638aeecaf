from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.data.per_speaker import standardize_per_speaker


def test_two_speakers_by_hand():
    values = np.array([[1.0, 10.0], [3.0, 10.0], [100.0, 0.0], [100.0, 4.0]])
    found = standardize_per_speaker(values, ["a", "a", "b", "b"])
    # Speaker a: mean 2, deviation 1, and a feature that does not vary; speaker b the other way round, mean 2, deviation 2.
    np.testing.assert_array_equal(found, [[-1, 0], [1, 0], [0, -1], [0, 1]])
    assert found.dtype == np.float32


def test_every_speaker_has_mean_zero_and_deviation_one():
    generator = np.random.default_rng(0)
    speaker = np.array(["a", "b", "c"])[generator.integers(0, 3, 200)]
    values = generator.normal(size=(200, 4)) * 7 + np.array([{"a": 1, "b": -50, "c": 1e3}[name] for name in speaker])[:, None]
    found = standardize_per_speaker(values, speaker)
    for name in "abc":
        np.testing.assert_allclose(found[speaker == name].mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(found[speaker == name].std(0), 1, atol=1e-5)


def test_a_speaker_s_own_gain_and_offset_are_gone():
    generator = np.random.default_rng(1)
    values = generator.normal(size=(20, 3))
    there = standardize_per_speaker(np.concatenate([values, values * 3 + 5]), ["a"] * 20 + ["b"] * 20)
    np.testing.assert_allclose(there[:20], there[20:], atol=1e-5)


def test_other_speakers_change_no_bit():
    generator = np.random.default_rng(2)
    values, speaker = generator.normal(size=(30, 5)), np.repeat(["a", "b", "c"], 10)
    changed = np.where((speaker == "b")[:, None], 1e6 * values, values)
    rows = speaker != "b"
    np.testing.assert_array_equal(standardize_per_speaker(values, speaker)[rows], standardize_per_speaker(changed, speaker)[rows])


def test_padding_changes_nothing_and_stays_zero():
    generator = np.random.default_rng(3)
    values = generator.normal(size=(6, 4, 2, 3))
    mask = np.arange(4) < np.array([4, 2, 3, 1, 4, 2])[:, None]
    values[~mask] = np.nan
    speaker = ["a", "a", "a", "b", "b", "b"]
    found = standardize_per_speaker(values, speaker, mask=mask)
    assert not found[~mask].any() and np.isfinite(found).all()
    own = values[:3][mask[:3]].reshape(-1, 3)
    np.testing.assert_allclose(found[:3][mask[:3]].reshape(-1, 3), (own - own.mean(0)) / own.std(0), atol=1e-5)
    longer = np.pad(values, ((0, 0), (0, 3), (0, 0), (0, 0)), constant_values=9.0)
    again = standardize_per_speaker(longer, speaker, mask=np.pad(mask, ((0, 0), (0, 3))))
    np.testing.assert_array_equal(again[:, :4], found)


def test_lost_clips_do_not_count_and_become_the_mean():
    values = np.array([1.0, 3.0, np.nan, 7.0]).reshape(4, 1, 1)
    found = standardize_per_speaker(values, ["a", "a", "a", "b"], mask=np.array([True, True, False, False])[:, None])
    np.testing.assert_array_equal(found[:, 0], [[-1], [1], [0], [0]])


def test_bytes_are_numbers_too():
    found = standardize_per_speaker(np.array([[0], [255]], np.uint8), ["a", "a"])
    np.testing.assert_array_equal(found, [[-1], [1]])


@pytest.mark.parametrize(
    ("shape", "speakers", "mask", "message"),
    [
        ((4,), 4, None, r"got \(4,\) and \(4,\)"),
        ((4, 2), 3, None, r"got \(4, 2\) and \(3,\)"),
        ((4, 2), 4, (4, 2), "a mask .* with sequences alone"),
        ((4, 5, 2), 4, None, "got None for"),
        ((4, 5, 2), 4, (4, 2), r"got \(4, 2\) for \(4, 5, 2\)"),
    ],
)
def test_shapes_that_do_not_belong_together(shape, speakers, mask, message):
    with pytest.raises(ValueError, match=message):
        standardize_per_speaker(np.zeros(shape), ["a"] * speakers, mask=None if mask is None else np.ones(mask, bool))


def test_what_is_not_finite_is_named_by_its_speaker():
    with pytest.raises(ValueError, match="features of speaker b are not finite"):
        standardize_per_speaker(np.array([[1.0], [np.inf]]), ["a", "b"])
