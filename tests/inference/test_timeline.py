"""Emotions over time."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.inference.predict import SegmentPrediction, clip_probabilities
from avemo_jax.inference.timeline import Span, clock, format_timeline, spans

CLASSES = ("calm", "happy")


def segment(start_s: float, end_s: float, calm: float, *without: str, num_streams: int = 1, **absent: str) -> SegmentPrediction:
    return SegmentPrediction(start_s, end_s, np.array([calm, 1 - calm]), without, absent, num_streams)


def test_neighbours_of_one_label_are_joined_and_weighted_by_length():
    found = spans([segment(0, 2, 0.9), segment(2, 3, 0.6), segment(3, 5, 0.2), segment(5, 6, 0.7)], CLASSES)
    assert [(span.start_s, span.end_s, span.label) for span in found] == [(0, 3, "calm"), (3, 5, "happy"), (5, 6, "calm")]
    assert [span.probability for span in found] == pytest.approx([0.8, 0.8, 0.7])  # (2 * 0.9 + 1 * 0.6) / 3


def test_a_last_segment_of_one_step_has_no_weight():
    assert spans([segment(0, 2, 0.9), segment(2, 2, 0.6)], CLASSES) == [Span(0, 2, "calm", 0.9)]
    assert spans([segment(0, 0, 0.9)], CLASSES) == [Span(0, 0, "calm", 0.9)]


def test_the_overlap_of_segments_is_divided_in_the_middle():
    found = spans([segment(0, 0.8, 0.9), segment(0.4, 1.2, 0.2), segment(0.8, 1.6, 0.4), segment(2, 2.8, 0.6)], CLASSES)
    assert [(span.start_s, span.end_s, span.label) for span in found] == [
        (0, pytest.approx(0.6), "calm"),
        (pytest.approx(0.6), 1.6, "happy"),
        (2, 2.8, "calm"),
    ]
    assert found[1].probability == pytest.approx((0.4 * 0.8 + 0.6 * 0.6) / 1.0)


def test_no_segments_no_spans():
    assert spans([], CLASSES) == [] and format_timeline([]) == ""


def test_the_table_has_one_line_a_span_with_a_bar_of_its_probability():
    lines = format_timeline([Span(0, 30, "calm", 0.5), Span(30, 3725.5, "happy", 1.0)]).splitlines()
    assert lines[0].split() == ["0:00.0", "-", "0:30.0", "calm", "0.50", "#" * 10]
    assert lines[1].split() == ["0:30.0", "-", "1:02:05.5", "happy", "1.00", "#" * 20]
    assert lines[0].index("calm") == lines[1].index("happy")


def test_clock_carries_rounded_seconds():
    assert [clock(time_s) for time_s in (0, 59.94, 59.96, 3599.99)] == ["0:00.0", "0:59.9", "1:00.0", "1:00:00.0"]


def test_silence_no_speech_and_no_face_are_spans_of_their_own():
    segments = [
        *(segment(0, 2, 0.9), segment(2, 4, 0.9, audio="silence"), segment(4, 5, 0.8, audio="silence")),
        *(segment(5, 6, 0.1, audio="no speech"), segment(6, 7, 0.1)),
    ]
    found = spans(segments, CLASSES)
    labels = [(span.start_s, span.end_s, span.label, span.probability) for span in found]
    assert labels == [(0, 2, "calm", 0.9), (2, 5, "silence", None), (5, 6, "no speech", None), (6, 7, "happy", 0.9)]
    assert format_timeline(found).splitlines()[1].split() == ["0:02.0", "-", "0:05.0", "silence"]


def test_a_segment_is_nothing_only_where_no_stream_holds_more():
    face = segment(0, 1, 0.9, num_streams=2, audio="silence")
    neither = segment(1, 2, 0.1, "video", num_streams=2, audio="silence", video="no face")
    ended = segment(2, 3, 0.1, "video", "audio", num_streams=2)
    assert [one.nothing for one in (face, neither, ended)] == ["", "silence, no face", "no data"]
    np.testing.assert_allclose(clip_probabilities([face, neither, ended]), [0.9, 0.1])
    unsure = segment(1, 2, 0.1, audio="no speech")  # a whisper may count as no speech, so it is still part of the answer
    np.testing.assert_allclose(clip_probabilities([segment(0, 1, 0.9), unsure]), [0.5, 0.5])
    assert np.isfinite(clip_probabilities([neither])).all()
