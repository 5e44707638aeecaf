"""The view `frame_windows`: windows of frames, the input of I3D."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from data_prep.views.segments import ViewSegment
from data_prep.views.windows import Piece, Windows


@dataclasses.dataclass(frozen=True)
class FrameWindows(Windows):
    """Windows of frames; steps of (num_frames, size_px, size_px, 3) uint8, 3.8 MB each, with the time of their middle.

    Choice: windows of a second, five of a segment, as the sound has five patches. See `Windows` for the parameters.

    Source: Carreira and Zisserman 2017, section 3.1 (25 frames/s, 224 px); A, Table 5.4.
    """

    name: ClassVar[str] = "frame_windows"
    dtype: ClassVar[str] = "uint8"
    num_channels: ClassVar[int] = 3

    def windows(self, piece: Piece) -> ViewSegment:
        """Return the windows of the cropped frames of a segment."""
        return self.joined(piece.images, piece)
