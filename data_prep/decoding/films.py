"""Films: the pictures of any media file, streamed in order of time."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from avemo_jax.allocator import map_large_arrays
from avemo_jax.clips import REGIONS
from data_prep.decoding.containers import TOLERANCE_S, Header, decoded_from
from data_prep.decoding.media import Frame, MediaError, region_of

_FEWEST_FRAMES = 0.9  # share of the header's count; AVI counts dropped frames too


def stream_frames(path: Path, *, start_s: float | None = None, end_s: float | None = None, region: str = "full") -> Iterator[Frame]:
    """Yield the pictures with start_s <= time < end_s in order of time.

    Args:
      path: any media file with a picture.
      start_s, end_s: span within the file; None: from the beginning, to the end. A start deep inside is reached by seeking.
      region: "full", or the "left" or "right" half of the picture.

    Yields:
      Frame with its time from start_s.

    Raises:
      MediaError: missing, empty, no_video, undecodable; truncated (fewer frames or less time than the header says, or than the span
        needs).
    """
    if region not in REGIONS:
        raise ValueError(f"region must be one of {REGIONS}, got {region!r}")
    map_large_arrays()
    origin_s, header = start_s or 0.0, Header()
    num_frames, reached_s = 0, 0.0
    to_rgb = VideoReformatter()  # one a film: setting one up for each frame takes longer than the conversion
    for time_s, frame in decoded_from(path, "video", origin_s, header):
        if end_s is not None and time_s >= end_s - 1e-6:
            return
        reached_s = time_s + header.interval_s
        if time_s >= origin_s - 1e-6:
            num_frames += 1
            yield Frame(max(time_s - origin_s, 0.0), functools.partial(_picture, frame, region, to_rgb))
    expected_s = header.duration_s if end_s is None else end_s
    if expected_s is not None and reached_s < expected_s - TOLERANCE_S:
        raise MediaError("truncated", f"{path.name}: the picture ends at {reached_s:.2f} s, expected {expected_s:.2f} s")
    if num_frames == 0:
        raise MediaError("empty", f"{path.name} holds no picture")
    if start_s is None and end_s is None and num_frames < _FEWEST_FRAMES * header.num_frames:
        raise MediaError("truncated", f"{path.name}: the header says {header.num_frames} frames, {num_frames} were decoded")


def _picture(frame: av.VideoFrame, region: str, to_rgb: VideoReformatter) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright, of the region."""
    image = to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()  # workers already share the cores
    if frame.rotation:
        image = np.rot90(image, frame.rotation // 90)
    return region_of(image, region)
