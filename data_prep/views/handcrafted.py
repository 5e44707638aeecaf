"""The view `handcrafted`: the hand-crafted features of system A1's sound, Table 2.1 of the thesis, frame by frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np

from avemo_jax.bounds import Bounds
from data_prep.views.librosa_loading import load_librosa
from data_prep.views.mel import with_deltas
from data_prep.views.parameters import Count, Hz, NumBands, SampleRateHz, SegmentS, Share, WindowMs
from data_prep.views.segments import ViewSegment, usable_pieces

_LEAST_POWER = 1e-10  # mean square of full scale: about what rounding to 16 bits leaves of silence

# Formants: of the poles of the prediction filter those that ring, above the lowest voices and below where hiss begins.
_FORMANT_RANGE_HZ = (90.0, 5000.0)
_WIDEST_FORMANT_HZ = 400.0

# Syllables, after de Jong and Wempe 2009.
_SYLLABLE_SMOOTHING_S = 0.064
_SYLLABLE_RANGE_DB = 25.0
_SYLLABLE_DIP_DB = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handcrafted:
    """All rows of Table 2.1, frame by frame; steps of (len(feature_names),), 50 with the defaults.

    Frames are centred at multiples of the hop, the sound padded with zeros at both ends. The mean of the segment is taken off, the sound
    is pre-emphasised and cut into Hamming windows; the features, in the table's order:

      zero_crossing_rate   sign changes a sample
      spectral_centroid    Hz, of magnitudes
      mfcc_1..             cepstra without the zeroth, of 26 mel bands; then log_energy, the logarithm of the frame's mean square less that
                           of the segment's loudest frame; then the first and second derivative of them all (9 frames): 39 numbers
      f0                   Hz by probabilistic YIN (librosa.pyin), 0 where unvoiced, with voiced_probability beside it; of the sound
                           as recorded, because pre-emphasis weakens the fundamental
      formant_1..          Hz, from the roots of a linear prediction of order 2 + rate / 1000: complex poles between 90 and 5000 Hz that
                           are less than 400 Hz wide, lowest first; 0 where there are fewer
      speaking_rate        syllables a second, one number a segment, the same in every frame
      short_term_energy    mean square of the frame
      spectral_energy      mean square of its spectrum
      spectral_rolloff     Hz below which 90 % of the magnitudes lie

    The speaking rate, which the thesis gives in words a minute, is that of syllable nuclei (de Jong and Wempe 2009), because words take a
    recogniser: peaks of loudness, smoothed over 64 ms, that are voiced, within 25 dB of the segment's loudest and 2 dB above the dips
    around them, a second between the first and the last frame within those 25 dB. One number a segment, because a second holds only
    some four of them.

    Silence gives 0 for all but cepstra. No feature depends on another segment or clip.

    Attributes:
      sample_rate_hz: sample rate of the analysis in Hz; media of another rate are resampled.
      window_ms: length of a frame in ms.
      hop_ms: time between successive frames in ms.
      pre_emphasis: coefficient of the pre-emphasis: the share of the previous sample that is subtracted from each sample.
      num_cepstra: number of cepstral coefficients of the MFCC, without the zeroth; with the log energy and both derivatives, 12 give the 39
        numbers of the thesis.
      num_mels: number of mel bands of the MFCC.
      f0_min_hz: lowest pitch of the pitch search in Hz.
      f0_max_hz: highest pitch of the pitch search in Hz.
      f0_window_ms: analysis window of pYIN in ms; at least two periods of f0_min_hz.
      f0_step_semitones: spacing of pYIN's pitch candidates in semitones. The time grows with the square of their number; librosa's
        own is 0.1.
      num_formants: number of formants of a frame, from the lowest.
      rolloff: share of the spectral magnitude that lies below the feature spectral_rolloff.
      segment_s: length of a segment in s; longer clips are cut into several segments.

    Source: A, section 2.1.3 and Table 2.1.
    Differs: 12 cepstra and the log energy, times three, where the thesis says 16 cepstra and 39 numbers, which does not add up. Short-term
    energy is that of the sound as recorded: of the windows themselves it would equal the spectral energy, by Parseval's theorem.
    """

    name: ClassVar[str] = "handcrafted"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    VERSION: ClassVar[int] = 1
    compiles: ClassVar[bool] = True  # librosa's machine code, see prepare_view

    sample_rate_hz: SampleRateHz = 16000
    window_ms: WindowMs = 25.0
    hop_ms: WindowMs = 10.0
    pre_emphasis: Share = 0.97
    num_cepstra: NumBands = 12
    num_mels: NumBands = 26
    f0_min_hz: Hz = 65.0
    f0_max_hz: Hz = 650.0
    f0_window_ms: WindowMs = 64.0
    f0_step_semitones: Annotated[float, Bounds(least=0.01, most=1)] = 0.2
    num_formants: Count = 3
    rolloff: Share = 0.9
    segment_s: SegmentS = 5.0

    def __post_init__(self):
        if not 1 <= self.num_cepstra < self.num_mels:
            raise ValueError(f"num_cepstra must be 1 to {self.num_mels - 1}, below the number of mel bands, got {self.num_cepstra}")
        lowest_hz = 2000 / self.f0_window_ms  # pYIN looks for periods of up to half its window
        if not lowest_hz < self.f0_min_hz < self.f0_max_hz < self.sample_rate_hz / 2:
            raise ValueError(
                f"expected {lowest_hz:g} < f0_min_hz < f0_max_hz < {self.sample_rate_hz / 2:g} (f0_window_ms holds two periods), got "
                f"{self.f0_min_hz:g} and {self.f0_max_hz:g}"
            )
        if not 0 <= self.pre_emphasis < 1 or not 0 < self.rolloff < 1:
            raise ValueError(f"pre_emphasis and rolloff are shares below 1, got {self.pre_emphasis:g} and {self.rolloff:g}")
        if not 1 <= self.num_formants <= self._prediction_order // 2:
            raise ValueError(f"num_formants must be 1 to {self._prediction_order // 2}, got {self.num_formants}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features of a step, in their order."""
        cepstra = (*(f"mfcc_{number}" for number in range(1, self.num_cepstra + 1)), "log_energy")
        return (
            *("zero_crossing_rate", "spectral_centroid"),
            *(f"{name}{suffix}" for suffix in ("", "_delta", "_delta_delta") for name in cepstra),
            *("f0", "voiced_probability"),
            *(f"formant_{number}" for number in range(1, self.num_formants + 1)),
            *("speaking_rate", "short_term_energy", "spectral_energy", "spectral_rolloff"),
        )

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (len(self.feature_names),)

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (T, D) float32, D as feature_names says."""
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            values = self._features(samples)
            times_s = index * self.segment_s + np.arange(len(values)) * self._hop_samples / self.sample_rate_hz
            yield ViewSegment(values, np.ones(len(values), bool), times_s.astype(np.float32), len(values))

    def _features(self, samples: np.ndarray) -> np.ndarray:
        """(T, D) float32; T = 1 + S // hop."""
        from scipy.signal import get_window  # late, here and below: every worker imports this module, and few need it

        librosa = load_librosa()
        window = round(self.window_ms * self.sample_rate_hz / 1000)
        samples = np.pad(samples, (0, max(0, window - len(samples))))
        samples = samples - samples.mean(dtype=np.float64).astype(np.float32)
        emphasised = librosa.effects.preemphasis(samples, coef=self.pre_emphasis)
        recorded, frames = self._framed(samples, window), self._framed(emphasised, window)
        weighted = frames * get_window("hamming", window).astype(np.float32)[:, None]
        magnitudes = np.abs(np.fft.rfft(weighted, axis=0))
        power = magnitudes**2
        energy = (recorded**2).mean(axis=0)
        f0_hz, probability = self._f0(samples)
        signs = frames >= 0
        rows = [
            (signs[1:] != signs[:-1]).mean(axis=0),
            librosa.feature.spectral_centroid(S=magnitudes, sr=self.sample_rate_hz)[0],
            *self._cepstra(power, weighted),
            f0_hz,
            probability,
            *self._formants(weighted),
            np.full(len(f0_hz), self._speaking_rate(energy, f0_hz > 0)),
            energy,
            power.sum(axis=0) / window**2,
            librosa.feature.spectral_rolloff(S=magnitudes, sr=self.sample_rate_hz, roll_percent=self.rolloff)[0],
        ]
        return np.ascontiguousarray(np.stack(rows, axis=1), dtype=np.float32)

    def _framed(self, samples: np.ndarray, window: int) -> np.ndarray:
        """(window, T) centred at multiples of the hop."""
        padded = np.pad(samples, (window // 2, window - window // 2))
        return load_librosa().util.frame(padded, frame_length=window, hop_length=self._hop_samples)

    def _cepstra(self, power: np.ndarray, weighted: np.ndarray) -> np.ndarray:
        """(3 * (num_cepstra + 1), T) of power spectra (bins, T) and windowed frames (window, T)."""
        feature, power_to_db = load_librosa().feature, load_librosa().power_to_db
        mel = feature.melspectrogram(S=power, sr=self.sample_rate_hz, n_mels=self.num_mels)
        cepstra = feature.mfcc(S=power_to_db(mel, top_db=None), n_mfcc=self.num_cepstra + 1)[1:]
        log_energy = np.log(np.maximum((weighted**2).mean(axis=0), _LEAST_POWER))
        static = np.concatenate([cepstra, [log_energy - log_energy.max()]])
        return with_deltas(static, 2)

    def _f0(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T,) in Hz, 0 where unvoiced, and (T,) the probability of a voice."""
        f0_hz, _, probability = load_librosa().pyin(
            samples,
            fmin=self.f0_min_hz,
            fmax=self.f0_max_hz,
            sr=self.sample_rate_hz,
            frame_length=round(self.f0_window_ms * self.sample_rate_hz / 1000),
            hop_length=self._hop_samples,
            resolution=self.f0_step_semitones,
            fill_na=0.0,
        )
        return f0_hz, probability

    def _formants(self, weighted: np.ndarray) -> np.ndarray:
        """(num_formants, T) in Hz of windowed frames (window, T), 0 where there are fewer."""
        formants_hz = np.zeros((weighted.shape[1], self.num_formants))
        audible = np.flatnonzero((weighted**2).mean(axis=0) > _LEAST_POWER)
        if len(audible):
            polynomials = load_librosa().lpc(weighted[:, audible].astype(np.float64), order=self._prediction_order, axis=0).T
            for row, frequencies_hz in zip(audible, map(self.pole_frequencies, roots_of(polynomials)), strict=True):
                found = np.sort(frequencies_hz)[: self.num_formants]
                formants_hz[row, : len(found)] = found
        return formants_hz.T

    def pole_frequencies(self, poles: np.ndarray) -> np.ndarray:
        """Frequencies in Hz of the poles that are formants."""
        poles = poles[(poles.imag > 0) & (np.abs(poles) > 0)]
        frequencies_hz = np.angle(poles) * self.sample_rate_hz / (2 * np.pi)
        widths_hz = -np.log(np.abs(poles)) * self.sample_rate_hz / np.pi
        low_hz, high_hz = _FORMANT_RANGE_HZ
        return frequencies_hz[(frequencies_hz > low_hz) & (frequencies_hz < high_hz) & (widths_hz < _WIDEST_FORMANT_HZ)]

    def _speaking_rate(self, energy: np.ndarray, is_voiced: np.ndarray) -> float:
        """Syllables a second, from mean squares (T,) and where there is a voice (T,)."""
        from scipy.ndimage import uniform_filter1d
        from scipy.signal import find_peaks

        hop_s = self._hop_samples / self.sample_rate_hz
        smooth = uniform_filter1d(energy.astype(np.float64), max(1, round(_SYLLABLE_SMOOTHING_S / hop_s)), mode="constant")
        if smooth.max() <= _LEAST_POWER:
            return 0.0
        loudness_db = 10 * np.log10(np.maximum(smooth, _LEAST_POWER))
        least_db = loudness_db.max() - _SYLLABLE_RANGE_DB
        # a quiet frame at either end, so that a peak at the very end has a dip behind it
        peaks, _ = find_peaks(np.pad(loudness_db, 1, constant_values=-np.inf), height=least_db, prominence=_SYLLABLE_DIP_DB)
        loud = np.flatnonzero(loudness_db >= least_db)
        return float(is_voiced[peaks - 1].sum() / ((loud[-1] - loud[0] + 1) * hop_s))

    @property
    def _hop_samples(self) -> int:
        return round(self.hop_ms * self.sample_rate_hz / 1000)

    @property
    def _prediction_order(self) -> int:
        return 2 + round(self.sample_rate_hz / 1000)


def roots_of(polynomials: np.ndarray) -> np.ndarray:
    """(N, order) complex roots of monic polynomials (N, order + 1), highest power first: eigenvalues of their companion matrices."""
    order = polynomials.shape[1] - 1
    companions = np.zeros((len(polynomials), order, order))
    companions[:, np.arange(1, order), np.arange(order - 1)] = 1
    companions[:, 0] = -polynomials[:, 1:]
    return np.linalg.eigvals(companions)
