"""The view `flow_windows`: windows of optical flow, the second input of I3D."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Annotated, ClassVar

import numpy as np

from avemo_jax.bounds import Bounds
from data_prep.views.optical_flow import METHODS, flow_between
from data_prep.views.pictures import to_gray
from data_prep.views.segments import ViewSegment
from data_prep.views.windows import Piece, Windows


@dataclasses.dataclass(frozen=True)
class FlowWindows(Windows):
    """Windows of optical flow; steps of (num_frames, size_px, size_px, 2) float16 in [-1, 1], 5 MB each, with the time of their middle.

    Flow number i is from frame i to frame i + 1: to the right, downwards. It is measured on the grey cropped pictures (224 of 256 px with
    crop="centre", as I3D's was), cut off at clip_px and divided by it. A segment of one frame has no flow, and is masked out. See `Windows`
    for the other parameters.

    Attributes:
      method: optical flow algorithm: "dis" (dense inverse search), or "tvl1", the published one, which takes far longer.
      clip_px: largest flow along each axis in px from frame to frame, to which larger flow is clipped; [-1, 1] stands for [-20, 20] px, as
        published.

    Source: Carreira and Zisserman 2017, section 3.1. Differs: DIS unless method="tvl1"; the published code is not known to the last
    parameter.
    """

    method: str = "dis"
    clip_px: Annotated[float, Bounds(above=0, most=4096)] = 20.0

    name: ClassVar[str] = "flow_windows"
    dtype: ClassVar[str] = "float16"
    num_channels: ClassVar[int] = 2

    def __post_init__(self):
        super().__post_init__()
        if self.method not in METHODS:
            raise ValueError(f"config.views.flow_windows.method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if self.size_px < 12:
            raise ValueError(f"config.views.flow_windows.size_px must be at least 12, the smallest picture of the flow, got {self.size_px}")

    def windows(self, piece: Piece) -> ViewSegment:
        """Return the windows of the flow between the cropped frames of a segment."""
        grays = [to_gray(image) for image in piece.images]
        return self.joined([self._flow(*pair) for pair in itertools.pairwise(grays)], piece)

    def _flow(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        flow = flow_between(before, after, self.method) / self.clip_px
        return np.clip(flow, -1, 1).astype(np.float16)
