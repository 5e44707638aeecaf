"""Views: named, parameterised functions from decoded media to an array of steps, a mask and times; one file each.

A view is a frozen dataclass. Its fields are its parameters, with the only defaults there are; its docstring describes each of them in the
section "Attributes:", from which `--help` and `--mode=doctor` read, and the bounds of each number stand beside it (`parameters`). Beside
its parameters it has

    name            of the view, unique
    modality        medium that it is made from: "audio" or "video"
    needs_audio     True where it is made from the sound as well (optional)
    dtype           NumPy's name of the type of its values
    step_shape      shape of one step
    VERSION         part of the key of every prepared set: raised when the view's values change
    licence         what its owner allows, for views whose package is not free for every use (optional)
    check_installed a method that raises ImportError, with the command to run, where its package is missing (optional)
    compiles        True where librosa compiles machine code for it (optional)
    sample_rate_hz  of the sound that it takes, for views that need sound
    segment_s       length of the segments that it yields
    arithmetic()    the view as plain numbers, from which a program computes it from samples, or None (optional)
    segments(media) the segments of a clip as `segments.ViewSegment`; "audio" comes as pieces of segment_s, (S,) float32 each, "video" as
                    `Frame`s

To add a view, write its file and name its class below. This package is imported for parameters alone, by configs: import OpenCV,
scikit-image, SciPy and librosa inside the functions that need them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from avemo_jax.bounds import check_bounds
from avemo_jax.text import nearest
from data_prep.views.faces import Faces
from data_prep.views.flow_windows import FlowWindows
from data_prep.views.frame_windows import FrameWindows
from data_prep.views.frames import Frames
from data_prep.views.functionals import Functionals
from data_prep.views.handcrafted import Handcrafted
from data_prep.views.hog import Hog
from data_prep.views.keyframes import KeyFrames
from data_prep.views.logmel_496 import Logmel496
from data_prep.views.logmel_frames import LogmelFrames
from data_prep.views.logmel_patches import LogmelPatches
from data_prep.views.logmel_whisper import LogmelWhisper
from data_prep.views.mfcc import Mfcc
from data_prep.views.mfcc_mean import MfccMean
from data_prep.views.mouths import Mouths
from data_prep.views.opensmile import Compare2016, Egemaps
from data_prep.views.speech_faces import SpeechFaces
from data_prep.views.speech_segments import SpeechSegments
from data_prep.views.still import Still
from data_prep.views.table import Table, Table2, Table3
from data_prep.views.waveform import Waveform

__all__ = ["VIEWS", "make_view"]

VIEWS: dict[str, Any] = {
    view.name: view
    for view in (
        *(LogmelPatches, Logmel496, Mfcc, LogmelFrames, LogmelWhisper, Waveform, Functionals, MfccMean, Handcrafted),
        *(Egemaps, Compare2016),
        *(SpeechSegments, SpeechFaces),
        *(KeyFrames, Faces, Mouths, Frames, Hog, FrameWindows, FlowWindows, Still),
        *(Table, Table2, Table3),
    )
}


def make_view(name: str, **params: Any) -> Any:
    """Return the view of that name; parameters left out have the view's defaults.

    Raises:
      ValueError: no such view, no such parameter, a needed one is missing, or a value is impossible.
    """
    if name not in VIEWS:
        raise ValueError(f"unknown view {name!r}{nearest(name, VIEWS)}; known: {', '.join(sorted(VIEWS))}")
    fields = dataclasses.fields(VIEWS[name])
    names = [field.name for field in fields]
    if unknown := sorted(set(params) - set(names)):
        raise ValueError(f"view {name} has no parameter {', '.join(unknown)}{nearest(unknown[0], names)}; it has: {', '.join(names)}")
    needed = [field.name for field in fields if field.default is dataclasses.MISSING]
    if missing := [field for field in needed if params.get(field) is None]:
        raise ValueError(f"view {name} needs {', '.join(missing)}; set views.{name}.{missing[0]}")
    check_bounds(VIEWS[name], params, f"views.{name}.")
    return VIEWS[name](**params)
