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
from data_prep.mouth_motion import mouths_and_sound
from data_prep.people import find_people
from data_prep.views.face_tracks import FaceTrack

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


def test_motion_of_a_mouth_is_told_from_that_of_the_head(tmp_path):
    """A drawn mouth opens with the sound on the left; on the right the whole picture moves."""
    noise = np.random.default_rng(0).integers(60, 200, (80, 120), np.uint8)
    images = []
    for at in range(50):
        left, right = noise.copy(), np.roll(noise, at % 3, axis=1)
        if at >= 25 and at % 2:
            left[56:72, 45:75] = 0
        images.append(np.repeat(np.hstack([left, right])[..., None], 3, axis=-1))
    sound = np.where(np.arange(32000) < 16000, 0.0, 0.5)
    write_video(tmp_path / "a.avi", images, sound=sound)
    tracks = [FaceTrack([0.0, 0.8, 1.6, 2.0], [(x, 0.0, 0.5, 1.0)] * 4) for x in (0.0, 0.5)]
    found = mouths_and_sound(tmp_path / "a.avi", tracks)
    assert found.motion.shape == (2, 50) and found.level[:24].max() < 0.01 and found.level[26:] == pytest.approx(0.5, abs=0.01)
    assert np.nanmax(np.abs(found.motion[0, 1:24])) < 4 and found.motion[0, 27:].min() > 30
    assert abs(np.nanmean(found.motion[1])) < 8
    hidden = mouths_and_sound(tmp_path / "a.avi", [FaceTrack([0.0], [(0.0, 0.0, 0.5, 1.0)])])
    assert np.isfinite(hidden.motion[0, 5]) and np.isnan(hidden.motion[0, 30:]).all()
    write_video(tmp_path / "b.avi", images)
    assert mouths_and_sound(tmp_path / "b.avi", tracks) is None
