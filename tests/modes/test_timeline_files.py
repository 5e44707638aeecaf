"""Files of one recording each: named as the recording, and a recording that a format cannot show costs that file alone."""

from __future__ import annotations

import numpy as np

from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.modes.predict import save_timelines


class Media:
    def write_overlay(self, file, path, hops, colours, other, people):
        return f"{file} has no picture"


def test_recordings_of_one_name_do_not_overwrite_each_other(tmp_path, capsys):
    for folder in ("one", "two"):
        prediction = RecordingPrediction(f"{folder}/a.wav", (SegmentPrediction(0, 1, np.array([0.4, 0.6])),), (), ("calm", "happy"))
        save_timelines(prediction, ["audformat", "overlay"], tmp_path, Media())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.audformat.csv", "a.audformat.csv"]
    assert "two/a.wav" in (tmp_path / "a-2.audformat.csv").read_text()
    assert "  no overlay: one/a.wav has no picture" in capsys.readouterr().out
