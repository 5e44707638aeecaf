"""Predict real recordings with a run of the demo. tests/data_prep tests their faces and key frames."""

from __future__ import annotations

import json

import pytest
from shared_data import shared_data

pytestmark = pytest.mark.slow

CLIPS = {"crema_d": (3, "*.flv"), "grid": (5, "*.mpg")}


def test_predict_on_real_clips(trained, tmp_path):
    files = []
    for folder, (number, pattern) in CLIPS.items():
        found = sorted(shared_data(folder).glob(pattern))
        assert len(found) == number
        files += found
    run, _ = trained("audio_video")
    run("--mode=predict", f"--input={','.join(map(str, files))}", f"--output={tmp_path}")
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert [one["file"] for one in content["files"]] == [str(path) for path in files]
    for one in content["files"]:
        assert one["predicted"] in content["classes"], one
        assert one["problems"] == [], one  # fully decoded, not silent, with faces
        assert all(segment["without"] == [] for segment in one["segments"]), one
        assert 1.5 < one["segments"][-1]["end_s"] < 5
    assert len({json.dumps(one["probabilities"]) for one in content["files"]}) == len(files)
