"""Made-up sound: tones, and what passes for speech where somebody listens for the speech band."""

import numpy as np

RATE_HZ = 16000


def speech_like(duration_s: float, seed: int = 0) -> np.ndarray:
    """(S,) float32 at 16 kHz: a tone that wanders between 500 and 1100 Hz, and a little noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    pitch_hz = 800 + 300 * np.sin(2 * np.pi * 1.7 * time_s)
    sound = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ) * (1 + 0.5 * np.sin(2 * np.pi * 4 * time_s))
    return (sound + rng.normal(scale=1e-3, size=len(time_s))).astype(np.float32)


def tone(frequency_hz: float, duration_s: float = 1.0, amplitude: float = 0.1) -> np.ndarray:
    """(S,) float32 at 16 kHz."""
    return (amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)).astype(np.float32)
