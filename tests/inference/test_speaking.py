"""The person whose mouth moves with the sound speaks; where two do, or none does, it cannot be told."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.inference.speaking import SpeakerFinder
from data_prep.mouth_motion import MouthsAndSound

RATE_HZ = 25.0
STEPS = np.arange(150)
SYLLABLES = 0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * STEPS / RATE_HZ)  # three a second
OTHER = 0.5 + 0.5 * np.sin(2 * np.pi * 4.3 * STEPS / RATE_HZ)


def finder(*motion: np.ndarray, level: np.ndarray = 0.1 * SYLLABLES + 0.001) -> SpeakerFinder:
    return SpeakerFinder(MouthsAndSound(RATE_HZ, level, np.stack(motion)))


def test_the_mouth_that_moves_with_the_sound_speaks():
    assert finder(OTHER, 5 * SYLLABLES).speaks(2, 3) == (False, True)
    late = np.roll(SYLLABLES, 2)  # 80 ms behind the sound
    assert finder(late, OTHER).correlations(2, 3)[0] == pytest.approx(finder(SYLLABLES, OTHER).correlations(2, 3)[0], abs=0.02)


def test_loudness_of_the_recording_does_not_matter():
    quiet = finder(OTHER, SYLLABLES, level=0.01 * (0.1 * SYLLABLES + 0.001))
    assert quiet.correlations(2, 3) == pytest.approx(finder(OTHER, SYLLABLES).correlations(2, 3), abs=1e-2)


def test_it_cannot_be_told_of_two_equal_mouths_nor_of_none_that_fits():
    assert finder(SYLLABLES, SYLLABLES).speaks(2, 3) == (None, None)
    assert finder(OTHER, 1 - SYLLABLES).speaks(2, 3) == (None, None)
    assert finder(np.zeros(150), np.ones(150)).speaks(2, 3) == (None, None), "mouths at rest"


def test_in_a_pause_nobody_speaks_and_behind_the_end_it_cannot_be_told():
    level = np.where(STEPS < 75, 0.1 * SYLLABLES + 0.001, 0.0005)
    assert finder(SYLLABLES, OTHER, level=level).speaks(4, 5) == (False, False)
    assert finder(SYLLABLES, OTHER).speaks(7, 8) == (None, None)


def test_a_person_who_is_hardly_seen_is_not_judged():
    hidden = np.where(abs(STEPS - 62) < 20, np.nan, OTHER)
    assert finder(SYLLABLES, hidden).speaks(2, 3) == (True, None)
    assert finder(np.full(150, np.nan), np.full(150, np.nan)).speaks(2, 3) == (None, None)


def test_a_mouth_that_hardly_moves_is_measured_by_how_much_it_moves_elsewhere():
    turns = np.where(STEPS < 75, SYLLABLES, 0.02 * SYLLABLES)  # speaks for three seconds, then its noise happens to fit
    assert finder(turns, np.where(STEPS < 75, 0, SYLLABLES)).speaks(4.5, 5.5) == (False, True)
