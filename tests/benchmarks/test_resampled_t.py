from __future__ import annotations

import numpy as np
import pytest

from benchmarks.resampled_t import NUM_CLIPS, PROTOCOLS, SPEAKER, differences, draw_corpus, false_positives, folds_of_speakers, p_values


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_test_parts_are_parts(protocol):
    tests = PROTOCOLS[protocol](np.random.default_rng(0))
    assert tests.dtype == bool and tests.shape[1] == NUM_CLIPS and tests.any(1).all() and not tests.all(1).any()
    if protocol != "15 random parts of a fifth":
        times = tests.sum(0)
        assert (times == times[0]).all()


def test_folds_of_speakers_share_none():
    tests = folds_of_speakers(np.random.default_rng(0))
    for one in tests:
        assert not set(SPEAKER[one]) & set(SPEAKER[~one])


def test_nearest_mean_by_hand():
    """One informative feature against a constant one: in each fold the difference is 1 minus the share of class 0."""
    label = np.array([0, 1] * (NUM_CLIPS // 2))
    informative = np.repeat((2.0 * label - 1)[:, None], 3, axis=1)
    constant = np.ones_like(informative)  # scores are 0, which is not over 0: class 0
    tests = np.arange(4)[:, None] == np.arange(NUM_CLIPS) // (NUM_CLIPS // 4)
    np.testing.assert_allclose(differences(label, np.stack([informative, constant]), tests), 0.5)
    np.testing.assert_allclose(differences(label, np.stack([informative, informative]), tests), 0)


def test_neither_system_is_better():
    generator = np.random.default_rng(2)
    values = []
    for _ in range(60):
        label, features = draw_corpus(generator)
        values.append(differences(label, features, PROTOCOLS["5 folds of speakers"](generator)).mean())
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)


def test_systems_that_are_one_have_no_difference():
    tests = folds_of_speakers(np.random.default_rng(0))
    assert p_values(np.zeros(5), tests) == (1.0, 1.0)


def test_the_corrected_test_has_its_stated_level_and_the_naive_one_does_not():
    naive, corrected = false_positives("15 random parts of a fifth", 300)
    assert naive > 0.2 and corrected < 0.09
