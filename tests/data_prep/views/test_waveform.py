"""The view `waveform`: the samples, cut into segments."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.views import make_view
from data_prep.views.waveform import Waveform

RATE_HZ = 16_000


def test_segments_are_the_samples_with_their_times():
    samples = np.random.default_rng(0).uniform(-1, 1, 3 * RATE_HZ).astype(np.float32)
    first, second = Waveform(segment_s=2.0).segments(iter([samples[: 2 * RATE_HZ], samples[2 * RATE_HZ :]]))
    np.testing.assert_array_equal(np.concatenate([first.values, second.values]), samples)
    assert first.values.dtype == second.times_s.dtype == np.float32
    assert first.mask.all() and second.mask.all()
    np.testing.assert_allclose(second.times_s[:2], [2, 2 + 1 / RATE_HZ], atol=1e-6)


def test_a_clip_too_short_for_one_step_of_an_encoder_is_followed_by_silence():
    (segment,) = Waveform().segments(iter([np.ones(3, np.float32)]))
    np.testing.assert_array_equal(segment.values, np.pad(np.ones(3), (0, 397)))
    assert segment.mask.all() and len(segment.times_s) == 400


@pytest.mark.parametrize("segment_s", [0.0, 61.0])
def test_impossible_lengths_are_refused(segment_s):
    with pytest.raises(ValueError, match=r"views\.waveform\.segment_s must be at least"):
        make_view("waveform", segment_s=segment_s)
