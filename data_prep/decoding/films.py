"""Films: the pictures of any media file, streamed in order of time."""

from __future__ import annotations

import array
import functools
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from avemo_jax.allocator import map_large_arrays
from avemo_jax.clips import REGIONS
from data_prep.decoding.containers import reason
from data_prep.decoding.media import REMEDY, Findings, Frame, MediaError, guarded, region_of
from data_prep.decoding.orientation import upright
from data_prep.decoding.time_line import SPAN_TOLERANCE_S, TimeLine, decoded_from

_STEADY = 0.9  # share of equal intervals from which on a film has a rate, so that a longer interval is a lost frame
_LONGEST_STILL_S = 1.0  # in a film without a rate


def stream_frames(
    path: Path,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    region: str = "full",
    findings: Findings | None = None,
) -> Iterator[Frame]:
    """Yield the pictures with start_s <= time < end_s in order of time.

    Args:
      path: any media file with a picture.
      start_s, end_s: span within the file; None: from the beginning, to the end. A start deep inside is reached by seeking.
      region: "full", or the "left" or "right" half of the picture.
      findings: takes notes, and damage behind pictures that are kept.

    Yields:
      Frame with its time from start_s.

    Raises:
      MediaError: missing, empty, no_video, undecodable; truncated (fewer frames or less time than the header and the packets say, or than
        the span needs).
    """
    if region not in REGIONS:
        raise ValueError(f"region must be one of {REGIONS}, got {region!r}")
    map_large_arrays()
    findings = Findings() if findings is None else findings
    yield from guarded(_frames(path, start_s, end_s, region, findings), path, findings)


def _frames(path: Path, start_s: float | None, end_s: float | None, region: str, findings: Findings) -> Iterator[Frame]:
    origin_s, line = start_s or 0.0, TimeLine()
    times_s, reached_s = array.array("d"), 0.0
    to_rgb = VideoReformatter()  # one a film: setting one up for each frame takes longer than the conversion
    for time_s, frame in decoded_from(path, "video", origin_s, line, findings):
        assert time_s is not None
        if end_s is not None and time_s >= end_s - 1e-6:
            _note_gaps(np.array(times_s), findings)
            return
        reached_s = time_s + line.interval_s
        if time_s >= origin_s - 1e-6:
            times_s.append(time_s)
            yield Frame(max(time_s - origin_s, 0.0), functools.partial(_picture, frame, region, to_rgb, path))
    _note_gaps(np.array(times_s), findings)
    if end_s is not None and reached_s < end_s - SPAN_TOLERANCE_S:
        raise MediaError("truncated", f"{path.name}: the picture ends at {reached_s:.2f} s, expected {end_s:.2f} s")
    if not times_s:
        raise MediaError("empty", f"{path.name} holds no picture")
    if start_s is None and end_s is None and 0 < line.num_frames < len(times_s):
        findings.note(f"the header says {line.num_frames} frames, {len(times_s)} were decoded")
    if end_s is None:
        line.check_end(path, "video", reached_s, findings)


def _note_gaps(times_s: np.ndarray, findings: Findings) -> None:
    """Note where frames are lost by their times (T,) in s."""
    intervals_s = np.diff(times_s)
    if len(intervals_s) < 2:
        return
    usual_s = float(np.median(intervals_s))
    is_steady = np.mean(np.abs(intervals_s - usual_s) < max(0.25 * usual_s, 0.0015)) >= _STEADY
    lost = np.flatnonzero(intervals_s > (1.6 * usual_s if is_steady else max(_LONGEST_STILL_S, 3 * usual_s)))
    if len(lost):
        first, sum_s = lost[0], float((intervals_s[lost] - usual_s).sum())
        findings.note(f"frames are missing for {sum_s:.2f} s in {len(lost)} places, the first at {times_s[first] + usual_s:.2f} s")


def _picture(frame: av.VideoFrame, region: str, to_rgb: VideoReformatter, path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright, of the region."""
    try:
        image = to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()  # workers already share the cores
        return region_of(upright(image, frame), region)
    except MemoryError:
        raise
    except Exception as error:
        raise MediaError(
            "undecodable", f"{path.name}: expected pictures that can be converted to RGB, found {reason(error)}; {REMEDY}"
        ) from error
