"""The view `frame_windows`: windows of frames, the input of I3D."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from data_prep.views.segments import ViewSegment
from data_prep.views.windows import Windows

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame


@dataclasses.dataclass(frozen=True)
class FrameWindows(Windows):
    """Windows of frames; steps of (num_frames, size_px, size_px, 3) uint8, 3.8 MB each, with the time of their middle.

    Choice: windows of a second, five of a segment, as the sound has five patches. See `Windows` for the parameters.

    Source: Carreira and Zisserman 2017, section 3.1 (25 frames/s, 224 px); A, Table 5.4.
    """

    name: ClassVar[str] = "frame_windows"
    dtype: ClassVar[str] = "uint8"
    num_channels: ClassVar[int] = 3

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps / num_frames steps for every segment_s of frames."""
        for piece in self.pieces(frames):
            yield self.windows(piece.images, piece)
