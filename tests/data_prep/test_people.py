"""Two real people side by side are found and followed, and each is seen alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from shared_data import shared_data
from written_media import write_video

from data_prep.decoding.films import stream_frames
from data_prep.live import LiveViews
from data_prep.people import find_people

RATE_FPS = 10


def pictures(path: Path, number: int) -> list[np.ndarray]:
    """Return pictures of a film, ten a second, of 240 px height."""
    kept = itertools.islice((frame for at, frame in enumerate(stream_frames(path)) if at % 3 == 0), number)
    return [cv2.resize(frame.image, (320, 240)) for frame in kept]


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["haar", "yunet"])
def test_two_people_are_followed_and_seen_alone(tmp_path, detector):
    left = pictures(shared_data("grid", "brbk7n.mpg"), 20)
    right = pictures(shared_data("crema_d", "1001_DFA_HAP_XX.flv"), 12)
    path = tmp_path / "two.avi"
    gone = np.full_like(left[0], 60)
    write_video(path, [np.hstack(pair) for pair in itertools.zip_longest(left, right, fillvalue=gone)], rate_fps=RATE_FPS)
    file = str(shared_data("models", "yunet", "yunet_n_640_640.onnx")) if detector == "yunet" else None
    first, second = people = find_people(path, detector, file)
    assert [one.number for one in people] == [1, 2] and first.track.is_seen(1.7, 2.0) and not second.track.is_seen(1.3, 2.0)
    live = LiveViews({"faces": ("faces", {"size_px": 32, "detector": detector, "detector_path": file})}, (1.0, 1.0))
    assert live.people(path) == people
    shown = []
    for one in people:
        streams, _ = live.open(path, person=one)
        shown.append(next(streams["faces"]).values[0].astype(float))
    whole = next(live.open(path)[0]["faces"]).values[0].astype(float)
    far = [np.abs(one - whole).mean() for one in shown]
    assert min(far) < 25 < max(far), "the largest face of the whole picture is one of the two"


def test_a_sound_and_a_picture_have_no_people(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    assert find_people(tmp_path / "a.wav", "haar", None) == find_people(tmp_path / "a.png", "haar", None) == ()
    assert LiveViews({"sound": ("waveform", {})}).people(tmp_path / "a.wav") == ()
