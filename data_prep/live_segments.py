"""The segments of one stream of a file, what each of them lacks, and the damage of the file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import NO_FACE, NO_SPEECH, SILENCE, Damage
from data_prep.decoding.media import MediaError
from data_prep.sets.staging import OUT_OF_MEMORY, SILENT_BELOW, QualityMonitor, StageTask, view_segments
from data_prep.views.segments import ViewSegment
from data_prep.views.sliding import SlidingView
from data_prep.views.speech_activity import SpeechActivity


class SegmentMonitor(QualityMonitor):
    """Also notes of each segment whether it is silent, or without speech or a face."""

    def __init__(self, view: Any, absent: list[str]):
        super().__init__(keeps=True)
        self._view, self._absent = view, absent
        self._of_pieces: list[str] = []  # sound comes in pieces of segment_s
        self._activity = SpeechActivity()

    def audio(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for samples in super().audio(pieces):
            if np.abs(samples).max(initial=0.0) < SILENT_BELOW:
                self._of_pieces.append(SILENCE)
            else:
                self._of_pieces.append("" if self._activity.span(samples, self._view.sample_rate_hz) else NO_SPEECH)
            yield samples

    def segments(self, segments: Iterable[ViewSegment]) -> Iterator[ViewSegment]:
        for segment in super().segments(segments):
            found = NO_FACE if segment.num_with_face == 0 else ""
            if self._of_pieces and len(segment.times_s):
                found = found or self._of_sound(segment)
            self._absent.append(found)
            yield segment

    def _of_sound(self, segment: ViewSegment) -> str:
        """Return what the sound of the next segment lacks: all of a window, or the piece that a segment is made of."""
        if isinstance(self._view, SlidingView):
            number = len(self._absent)
            pieces = self._of_pieces[number : number + math.ceil(self._view.window_s / self._view.hop_s - 1e-6)]
            return "" if "" in pieces else NO_SPEECH if NO_SPEECH in pieces else SILENCE
        piece = int(float(np.mean(segment.times_s)) // self._view.segment_s)
        return self._of_pieces[min(max(piece, 0), len(self._of_pieces) - 1)]


def read_segments(path: Path, view: Any, problems: list[Damage], absent: list[str]) -> Iterator[ViewSegment]:
    """Yield the segments of a view of a file; fill the lists of its damage and of what each segment lacks, as `LiveViews.open` has them."""
    clip = Clip(clip_id=path.name, corpus="live", label="", speaker="", audio=path.name, video=path.name)
    monitor = SegmentMonitor(view, absent)
    try:
        yield from view_segments(StageTask(clip, view, path.parent, path), monitor)
    except MediaError as error:
        problems.append(Damage(error.kind, error.detail))
    except MemoryError:
        problems.append(OUT_OF_MEMORY)
    except Exception as error:  # the other files of a call are still predicted
        problems.append(Damage("undecodable", f"{path.name}: its {view.name} fails with {type(error).__name__}: {error}"))
    else:
        if damage := monitor.damage():
            problems.append(damage)
