"""Numbers that several views have, with their bounds, and checks of their other parameters, with messages that name the field to change.

The bounds keep every array of a segment finite and not empty: a hop of 1 ms at 1 kHz is one sample. `data_prep.views.make_view` checks
them.
"""

from __future__ import annotations

from typing import Annotated, Any

from avemo_jax.bounds import COUNT, COUNT_OR_NONE, SHARE, Bounds

CROPS = ("whole", "centre", "face")

SegmentS = Annotated[float, Bounds(least=0.02, most=600)]  # all of a segment is in memory
SampleRateHz = Annotated[int, Bounds(least=1000, most=384_000)]
WindowMs = Annotated[float, Bounds(least=1, most=10_000)]
Hz = Annotated[float, Bounds(least=0, most=192_000)]
LevelDb = Annotated[float, Bounds(least=0, most=1000)]
NumBands = Annotated[int, Bounds(least=1, most=4096)]
RateFps = Annotated[float, Bounds(least=0.01, most=1000)]
SizePx = Annotated[int, Bounds(least=1, most=4096)]
NumFrames = Annotated[int, Bounds(least=1, most=10_000)]
MaxFrames = Annotated[int, COUNT_OR_NONE]
Count = Annotated[int, COUNT]
Margin = Annotated[float, Bounds(above=-0.5, most=10)]  # at -0.5 nothing of a face would be left
Share = Annotated[float, SHARE]


def check_crop(view: Any) -> None:
    """Raise ValueError for a crop that no view knows."""
    if view.crop not in CROPS:
        raise ValueError(f"config.views.{view.name}.crop must be one of {', '.join(CROPS)}, got {view.crop!r}")
