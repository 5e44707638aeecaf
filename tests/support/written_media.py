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


def write_streams(
    path: Path,
    *,
    images: Sequence[np.ndarray] = (),
    sound: np.ndarray | None = None,
    picture_codec: str = "mjpeg",
    sound_codec: str = "pcm_s16le",
    layout: str = "mono",
    rate_hz: int = 16000,
    picture_start_s: float = 0.0,
    sound_start_s: float = 0.0,
    lost_s: tuple[float, float] = (0.0, 0.0),
    lost: str = "sound",
    container_format: str | None = None,
) -> None:
    """Write pictures of 25 frames/s and sound (S,) or (C, S) whose packets start later, or are lost in a span of their own time."""
    with av.open(str(path), "w", format=container_format) as container:
        packets = []
        if len(images):
            options = {"deadline": "realtime", "cpu-used": "8"} if picture_codec == "libvpx" else {"qscale": "2"}
            video = container.add_stream(picture_codec, rate=25, options=options)
            video.height, video.width = images[0].shape[:2]
            video.pix_fmt = "yuvj420p" if picture_codec == "mjpeg" else "yuv420p"
            frames = [av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24") for image in images]
            packets += [(one, picture_start_s, "picture") for frame in [*frames, None] for one in video.encode(frame)]
        if sound is not None:
            audio = container.add_stream(sound_codec, rate=rate_hz, layout=layout)
            samples = np.round(np.atleast_2d(sound).T.ravel() * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
            frame.sample_rate, frame.pts = rate_hz, 0
            context = audio.codec_context
            cut = av.AudioResampler(format=context.format, layout=layout, rate=rate_hz, frame_size=context.frame_size or 320)
            parts = [*cut.resample(frame), *cut.resample(None), None]
            packets += [(one, sound_start_s, "sound") for part in parts for one in audio.encode(part)]
        packets = [
            (one, start_s) for one, start_s, what in packets if what != lost or not lost_s[0] <= float(one.pts * one.time_base) < lost_s[1]
        ]
        packets.sort(key=lambda one: float(one[0].pts * one[0].time_base) + one[1])
        for packet, start_s in packets:
            packet.pts += round(start_s / packet.time_base)
            packet.dts += round(start_s / packet.time_base)
            container.mux(packet)


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
