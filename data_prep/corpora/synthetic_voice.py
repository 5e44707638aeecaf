"""Synthesised voices of the synthetic corpus: glottal pulses through vowel formants, in syllables."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import ndimage, signal

SAMPLE_RATE_HZ = 48000

# Formant frequencies in Hz of a male speaker's vowels. Source: Peterson and Barney 1952, table II (F4, F5: common values).
FORMANTS_HZ = {
    "a": (730, 1090, 2440, 3400, 4500),
    "i": (270, 2290, 3010, 3500, 4600),
    "u": (300, 870, 2240, 3300, 4400),
    "e": (530, 1840, 2480, 3500, 4500),
    "o": (570, 840, 2410, 3300, 4400),
}
_BANDWIDTHS_HZ = (80, 100, 130, 180, 240)
SENTENCES = {"1": "aieoueia", "2": "oeuaiaeu"}  # vowels of the two sentences, repeated where a clip has time


class Manner(NamedTuple):
    """Manner of speaking.

    Fields: pitch_st, level in semitones over the speaker's own; range_st, rise and fall of a syllable in semitones; slope_st, change
    of pitch from the beginning to the end; energy_db; rate_hz, syllables a second; tilt_oct, octaves by which the spectrum reaches
    higher; breath, share of noise in the source; tremor_st, depth of a 6 Hz tremor in semitones.
    """

    pitch_st: float
    range_st: float
    slope_st: float
    energy_db: float
    rate_hz: float
    tilt_oct: float
    breath: float
    tremor_st: float


# Four voices for eight emotions, in other pairs than the faces (see synthetic.py).
MANNERS = {
    "neutral": Manner(0.2, 1.4, -1.2, -2.2, 3.9, 0.15, 0.05, 0.1),
    "calm": Manner(-1.0, 0.8, -1.8, -5.0, 3.2, -0.30, 0.12, 0.1),
    "happy": Manner(5.0, 3.6, 0.2, 2.0, 5.0, 0.75, 0.05, 0.2),
    "surprised": Manner(6.8, 4.8, 3.2, -0.5, 4.2, 0.40, 0.10, 0.2),
    "angry": Manner(2.8, 3.0, -4.0, 7.0, 4.9, 1.55, 0.06, 0.2),
    "disgust": Manner(1.2, 2.2, -5.4, 4.2, 4.1, 1.15, 0.16, 0.2),
    "sad": Manner(-0.8, 0.7, -3.4, -10.0, 2.5, -1.05, 0.20, 0.3),
    "fearful": Manner(1.0, 1.2, -1.6, -7.6, 3.1, -0.70, 0.34, 0.9),
}
# Standard deviation of one clip's manner around its emotion's.
JITTER = Manner(1.5, 0.8, 1.6, 2.2, 0.47, 0.36, 0.05, 0.2)


@dataclasses.dataclass(frozen=True)
class Voice:
    """What stays the same in all clips of an actor."""

    pitch_hz: float
    tract: float
    energy_db: float
    tilt_hz: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, male: bool) -> Voice:
        """Draw an actor's voice; `tract` scales the formants up as a shorter vocal tract does."""
        return cls(
            pitch_hz=(115.0 if male else 205.0) * 2 ** (rng.uniform(-2, 2) / 12),
            tract=rng.uniform(0.95, 1.05) * (1.0 if male else 1.16),
            energy_db=rng.uniform(-2.0, 2.0),
            tilt_hz=1500.0 * 2 ** rng.uniform(-0.25, 0.25),
        )


def speak(rng: np.random.Generator, voice: Voice, emotion: str, sentence: str, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the sound of a sentence.

    Args:
      rng: source of this clip's chance.
      voice: the actor's.
      emotion: key of MANNERS.
      sentence: key of SENTENCES.
      duration_s: of the clip, with a short silence at both ends.

    Returns:
      samples: (S,) float32, mono, [-1, 1], SAMPLE_RATE_HZ.
      level: (S,) float32 in [0, 1], loudness of the voice, for the mouth to move with.
    """
    manner = Manner(*(np.asarray(MANNERS[emotion]) + np.asarray(JITTER) * rng.standard_normal(len(JITTER))))
    num_samples = round(duration_s * SAMPLE_RATE_HZ)
    time_s = np.arange(num_samples) / SAMPLE_RATE_HZ
    begin_s, end_s = rng.uniform(0.08, 0.2), duration_s - rng.uniform(0.08, 0.2)

    # Syllables: where each sample lies within its own (position in [0, 1]), and which it is.
    count = max(2, round(manner.rate_hz * (end_s - begin_s)))
    lengths = rng.uniform(0.75, 1.25, count)
    edges = begin_s + (end_s - begin_s) * np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
    index = np.clip(np.searchsorted(edges, time_s, side="right") - 1, 0, count - 1)
    position = np.clip((time_s - edges[index]) / np.diff(edges)[index], 0, 1)
    stress = rng.uniform(0.65, 1.0, count)[index]
    level = stress * np.sin(np.pi * position) ** 0.7 * ((time_s >= begin_s) & (time_s < end_s))

    # Pitch: level, slope, a rise and fall a syllable, tremor, and a little unsteadiness 20 times a second.
    through = np.clip((time_s - begin_s) / (end_s - begin_s), 0, 1)
    contour_st = (
        manner.pitch_st
        + manner.slope_st * (through - 0.5)
        + max(0.2, manner.range_st) * (stress * np.sin(np.pi * position) - 0.5)
        + max(0.0, manner.tremor_st) * np.sin(2 * np.pi * 6.0 * time_s)
        + np.interp(time_s, np.linspace(0, duration_s, round(20 * duration_s)), 0.3 * rng.standard_normal(round(20 * duration_s)))
    )
    source = _glottal_source(np.cumsum(voice.pitch_hz * 2 ** (contour_st / 12)) / SAMPLE_RATE_HZ)
    source = (source / np.std(source) + max(0.01, manner.breath) * rng.standard_normal(num_samples)) * level

    speech = np.zeros(num_samples)
    spoken = np.array([SENTENCES[sentence][i % len(SENTENCES[sentence])] for i in range(count)])
    for vowel in np.unique(spoken):
        share = ndimage.uniform_filter1d((spoken == vowel)[index].astype(float), SAMPLE_RATE_HZ // 40)
        speech += share * _formants(source, vowel, voice.tract)
    # A short hiss opens every syllable, as a consonant would.
    hiss = signal.lfilter(*signal.butter(2, 3000, "highpass", fs=SAMPLE_RATE_HZ), rng.standard_normal(num_samples))
    speech = speech / np.std(speech) + 0.4 * hiss * np.exp(-(((position - 0.06) / 0.05) ** 2)) * (level > 0)
    cutoff_hz = float(np.clip(voice.tilt_hz * 2**manner.tilt_oct, 200, 9000))
    speech = signal.lfilter(*signal.butter(1, cutoff_hz, fs=SAMPLE_RATE_HZ), speech)

    gain = 0.06 * 10 ** ((manner.energy_db + voice.energy_db) / 20) / np.std(speech)
    room = signal.lfilter(*signal.butter(1, 500, fs=SAMPLE_RATE_HZ), rng.standard_normal(num_samples))
    room *= 0.007 * 10 ** (rng.uniform(-6, 6) / 20)
    # tanh: a loud voice saturates softly instead of leaving [-1, 1].
    samples = np.tanh(gain * speech + room)
    return samples.astype(np.float32), level.astype(np.float32)


def _glottal_source(phase: np.ndarray) -> np.ndarray:
    """Flow derivative of Rosenberg's glottal pulse (J. Acoust. Soc. Am. 49, 1971, type B) along a phase counted in periods."""
    within = phase % 1.0
    opening = 0.5 * (1 - np.cos(np.pi * within / 0.4))
    closing = np.cos(0.5 * np.pi * (within - 0.4) / 0.16)
    flow = np.where(within < 0.4, opening, np.where(within < 0.56, closing, 0.0))
    # The lips radiate high frequencies better: one more, leaky derivative.
    return signal.lfilter([1.0, -0.9], [1.0], np.gradient(flow))


def _formants(source: np.ndarray, vowel: str, tract: float) -> np.ndarray:
    """Pass a source through the cascade of a vowel's resonators, each of unit gain at 0 Hz."""
    sections = []
    for frequency_hz, bandwidth_hz in zip(FORMANTS_HZ[vowel], _BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
        feedback = [1.0, -2 * radius * np.cos(2 * np.pi * tract * frequency_hz / SAMPLE_RATE_HZ), radius**2]
        sections.append([sum(feedback), 0.0, 0.0, *feedback])
    return signal.sosfilt(np.array(sections), source)
