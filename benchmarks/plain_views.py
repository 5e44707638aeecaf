"""Plain versions of data_prep's views, with OpenCV, librosa and a loop over files: the reference of `benchmarks.preparing`.

They compute the same values but have no limits, damage report, resuming or segments (the benchmark's clips are shorter than one segment).
Sound of films is decoded with PyAV, since librosa cannot read it without the FFmpeg program.
"""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path

import av
import cv2
import librosa
import numpy as np
from scipy.stats import entropy
from sklearn.cluster import KMeans

RATE_FPS = 7.5


def sound(path: Path, rate_hz: int) -> np.ndarray:
    """Return the sound of a file, (S,) float32 mono."""
    if path.suffix == ".wav":
        return librosa.load(path, sr=rate_hz)[0]
    with av.open(str(path)) as container:
        from_hz = container.streams.audio[0].rate
        samples = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)])
    return librosa.resample(samples, orig_sr=from_hz, target_sr=rate_hz)


def pictures(path: Path) -> tuple[list[np.ndarray], float]:
    """Return all frames of a film, (H, W, 3) uint8 RGB, and their rate in frames/s."""
    capture, frames = cv2.VideoCapture(str(path)), []
    rate_fps = capture.get(cv2.CAP_PROP_FPS)
    while True:
        is_read, frame = capture.read()
        if not is_read:
            return frames, rate_fps
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def at_rate(path: Path) -> list[np.ndarray]:
    """Return the frames nearest to the multiples of 1 / RATE_FPS."""
    frames, rate_fps = pictures(path)
    num_steps = 1 + int((len(frames) - 1) / rate_fps * RATE_FPS + 1e-6)
    return [frames[math.ceil(step / RATE_FPS * rate_fps - 0.5)] for step in range(num_steps)]


def frames(path: Path, size_px: int = 64) -> np.ndarray:
    """Return whole frames, (T, size_px, size_px, 3) uint8; almost all of the time is decoding."""
    return np.stack([cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA) for image in at_rate(path)])


@functools.cache
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")


def faces(path: Path, size_px: int = 48, margin: float = 0.1) -> np.ndarray:
    """Return the largest face of each frame by a Haar cascade, (T, size_px, size_px, 3) uint8."""
    crops: list[np.ndarray | None] = []
    for image in at_rate(path):
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        found = _cascade().detectMultiScale(gray, scaleFactor=1.1, minNeighbors=3, minSize=(24, 24))
        if len(found) == 0:
            crops.append(None)
            continue
        x, y, width, height = max(found, key=lambda box: (box[2] * box[3], -box[0], -box[1]))
        side = min(round(max(width, height) * (1 + 2 * margin)), *gray.shape)
        left = min(max(round(x + width / 2 - side / 2), 0), gray.shape[1] - side)
        top = min(max(round(y + height / 2 - side / 2), 0), gray.shape[0] - side)
        crop = image[top : top + side, left : left + side]
        crops.append(cv2.resize(crop, (size_px, size_px), interpolation=cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR))
    with_face = [index for index, crop in enumerate(crops) if crop is not None]
    if not with_face:
        return np.zeros((1, size_px, size_px, 3), np.uint8)
    return np.stack([crops[min(with_face, key=lambda one: abs(one - index))] for index in range(len(crops))])  # type: ignore[misc]


def keyframes(path: Path, num_frames: int = 16, size_px: int = 299) -> np.ndarray:
    """Return key frames by the five steps of system A (see `KeyFrames`), (num_frames, size_px, size_px, 3) uint8."""
    original, _ = pictures(path)
    shrinks = size_px < max(original[0].shape)
    images = [cv2.resize(one, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR) for one in original]
    luv = [cv2.cvtColor(image, cv2.COLOR_RGB2LUV) for image in images]
    grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    histograms = np.stack([np.bincount(gray.ravel(), minlength=256) / gray.size for gray in grays])
    difference = np.array([0.0, *(cv2.absdiff(after, before).mean() for before, after in itertools.pairwise(luv))])
    brightness = np.array([one[..., 0].mean() / 255 for one in luv])
    contrast = np.array([np.subtract(*np.percentile(gray[::4, ::4], (99, 1))) / 255 for gray in grays])
    good = (brightness > 0.1) & (brightness < 0.9) & (entropy(histograms, base=2, axis=1) > 1) & (contrast >= 0.05)
    if not good.any():
        good[:] = True
    around = np.concatenate([[-np.inf], difference[1:], [-np.inf]])
    peak = np.concatenate([[True], (around[1:-1] > around[:-2]) & (around[1:-1] >= around[2:])])
    ranked = sorted(np.flatnonzero(good), key=lambda index: (not peak[index], -difference[index]))
    candidates = sorted(ranked[: max((good & peak).sum(), num_frames)])
    clusters = min(num_frames, len(np.unique(histograms[candidates], axis=0)))
    labels = KMeans(clusters, n_init=10, random_state=0).fit(histograms[candidates]).labels_
    sharpness = np.array([cv2.Laplacian(grays[index], cv2.CV_64F).var() for index in candidates])
    chosen = sorted(max(np.flatnonzero(labels == label), key=lambda place: sharpness[place]) for label in np.unique(labels))
    places = np.round(np.linspace(0, len(chosen) - 1, num_frames)).astype(int)
    return np.stack([images[candidates[chosen[place]]] for place in places])


def mel(path: Path) -> np.ndarray:
    """Return the mel spectrum in dB, (T, 64) float32."""
    samples = sound(path, 48000)
    power = librosa.feature.melspectrogram(y=samples, sr=48000, n_fft=4096, hop_length=2048, n_mels=64, fmin=50, fmax=8000)
    return librosa.power_to_db(power, top_db=None).T


def mfcc(path: Path) -> np.ndarray:
    """Return cepstral coefficients, (T, 13) float32."""
    return librosa.feature.mfcc(y=sound(path, 48000), sr=48000, n_mfcc=13, n_fft=4096, hop_length=2048).T
