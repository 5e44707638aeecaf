"""Small media files, written by the tests that need them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np


def write_video(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    rate_fps: int = 25,
    codec: str = "mpeg4",
    sound: np.ndarray | None = None,
    sound_rate_hz: int = 16000,
    sound_codec: str = "pcm_s16le",
    rotation: int = 0,
) -> None:
    """Write images (H, W, 3) uint8 RGB, and sound (S,) in [-1, 1] where given; the container follows the file's name."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        video = container.add_stream(codec, rate=rate_fps, options={} if codec == "ffv1" else {"qscale": "2", "b": "4M"})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        video.gop_size = 12
        if rotation:
            video.set_display_rotation(rotation)
        audio = None if sound is None else container.add_stream(sound_codec, rate=sound_rate_hz, layout="mono")
        for image in images:
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(video.encode())
        if audio is not None:
            _write_sound(container, audio, sound, sound_rate_hz)


def write_sound(path: Path, sound: np.ndarray, *, rate_hz: int, codec: str, layout: str = "mono") -> None:
    """Write sound (S,) in [-1, 1] alone with one of FFmpeg's codecs, the same in all channels of the layout."""
    with av.open(str(path), "w") as container:
        _write_sound(container, container.add_stream(codec, rate=rate_hz, layout=layout), sound, rate_hz, layout)


def _write_sound(container, stream, sound: np.ndarray, rate_hz: int, layout: str = "mono") -> None:
    samples = np.round(sound * 32767).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate, frame.pts = rate_hz, 0
    context = stream.codec_context
    to_codec = av.AudioResampler(format=context.format, layout=layout, rate=rate_hz, frame_size=context.frame_size or 1024)
    for part in [*to_codec.resample(frame), *to_codec.resample(None)]:
        container.mux(stream.encode(part))
    container.mux(stream.encode())


def numbered_images(num_images: int, height_px: int = 48, width_px: int = 96) -> list[np.ndarray]:
    """Pictures that say their number in the brightness of both halves: the left one rises, the right one falls."""
    images = []
    for index in range(num_images):
        image = np.zeros((height_px, width_px, 3), np.uint8)
        image[:, : width_px // 2] = 40 + index % 160
        image[:, width_px // 2 :] = 200 - index % 160
        images.append(image)
    return images


def chirp(duration_s: float, rate_hz: int) -> np.ndarray:
    """(S,) float32: a tone that rises from 200 Hz by 200 Hz a second, amplitude 0.5."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * (200 + 100 * time_s) * time_s)).astype(np.float32)
