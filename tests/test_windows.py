"""Which windows a prediction has: three seconds every second, unless something says otherwise."""

from __future__ import annotations

import json
import types

import pytest

from avemo_jax.windows import face_detector, has_faces, windows


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """An experiment whose system has the views of its attribute `views`."""
    made = types.SimpleNamespace(run_directory=tmp_path, views={"mfcc": {"segment_s": 30.0}})
    monkeypatch.setattr("avemo_jax.windows.views_in_use", lambda one: {name: (name, params) for name, params in one.views.items()})
    (tmp_path / "config.json").write_text(json.dumps({"views": {"mfcc": {"segment_s": 30.0}}}))
    return made


@pytest.mark.parametrize(
    ("window_s", "hop_s", "expected"),
    [(None, None, (3, 1)), (4.0, None, (4, 1)), (0.5, None, (0.5, 0.5)), (None, 0.25, (3, 0.25)), (2.0, 2.0, (2, 2)), (0.0, None, None)],
)
def test_lengths_have_defaults_that_fit_each_other(experiment, window_s, hop_s, expected):
    assert windows(experiment, window_s, hop_s) == expected


def test_a_distance_without_windows_is_refused(experiment):
    with pytest.raises(ValueError, match=r"--window_s=0 .* got 1"):
        windows(experiment, 0.0, 1.0)


def test_segments_of_another_length_than_the_run_are_a_choice_too(experiment):
    experiment.views["mfcc"]["segment_s"] = 5.0
    assert windows(experiment) is None and windows(experiment, 3.0) == (3, 1)


def test_a_system_of_fixed_segments_says_why_it_has_no_windows(experiment, capsys):
    experiment.views = {"logmel_496": {}}
    assert windows(experiment) is None
    assert "predicting segments as in training and no windows of 3 s, because its network takes segments of 5 s" in capsys.readouterr().out


def test_an_overlay_boxes_the_faces_that_the_system_sees(experiment):
    assert face_detector(experiment) == {} and not has_faces(experiment)
    experiment.views |= {"faces": {"detector": "yunet", "detector_path": "y.onnx"}, "hog": {"detector": "haar", "detector_path": None}}
    assert face_detector(experiment) == {"detector": "yunet", "detector_path": "y.onnx"} and has_faces(experiment)
