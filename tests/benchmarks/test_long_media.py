"""The benchmark of long recordings at its smallest size: its recordings have the length asked for, and a command is measured."""

from __future__ import annotations

import sys

import pytest

from benchmarks.long_media import Measured, format_row, measure, predicted_times, size_mib, write_recording
from data_prep.decoding.containers import probe


@pytest.mark.parametrize("film", [False, True])
def test_a_recording_has_the_length_asked_for(tmp_path, film):
    found = probe(write_recording(tmp_path / ("a.mp4" if film else "a.flac"), 1 / 3, film=film))
    assert found.duration_s == pytest.approx(20, abs=0.3)
    assert found.has_audio and found.has_video == film


def test_a_command_is_measured_and_its_failure_shown(tmp_path):
    small, large = (measure([sys.executable, "-c", f"bytearray({size} << 20)"]) for size in (1, 100))
    assert 90 < large.peak_mib - small.peak_mib < 110
    with pytest.raises(SystemExit, match="no such thing"):
        measure([sys.executable, "-c", "raise ValueError('no such thing')"])


def test_a_row_names_what_was_covered(tmp_path):
    (tmp_path / "predictions.csv").write_text("file,segment,start_s,end_s\na,,0,40\na,0,0.000,30.000\na,1,30.000,40.000\n")
    covers = predicted_times(tmp_path)
    assert covers == "0.00-40.00 s, 2 segments"
    assert size_mib(tmp_path) == pytest.approx(70 / 2**20)
    assert format_row(120, "predict", Measured(61.23, 512.4), 1.25, covers).split()[:5] == ["120", "predict", "61.2", "512", "1.2"]
