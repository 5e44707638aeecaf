"""Views of samples and pictures that are pushed: those of a file with the same content, a window at a time."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import soundfile
from PIL import Image
from written_media import write_video

from data_prep.decoding.films import stream_frames
from data_prep.live import LiveViews
from data_prep.live_stream import IsolatedPushedViews, LiveSource, Picture, PushedViews, StreamEnded
from data_prep.views.face_boxes import Box

PICTURES = {"rate_fps": 5.0, "size_px": 24}


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def assert_equal_windows(found, streams, absent):
    for name, segments in streams.items():
        expected = list(segments)
        assert len(found[name]) == len(expected) > 0
        for one, other, lacks in zip(found[name], expected, absent[name], strict=True):
            np.testing.assert_allclose(one.segment.values, other.values, atol=1e-6)
            np.testing.assert_array_equal(one.segment.mask, other.mask)
            np.testing.assert_allclose(one.segment.times_s, other.times_s, atol=1e-5)
            assert one.absent == lacks


@pytest.mark.parametrize(("length_s", "window"), [(7.45, (3.0, 1.0)), (6.0, (3.0, 1.0)), (0.4, (3.0, 1.0)), (4.3, (1.5, 1.0))])
def test_pushed_sound_gives_the_windows_of_its_file(tmp_path, length_s, window):
    random = np.random.default_rng(0)
    samples = random.uniform(-0.5, 0.5, round(length_s * 22050)).astype(np.float32)
    samples[: len(samples) // 2] = 0
    soundfile.write(tmp_path / "a.wav", samples, 22050, subtype="FLOAT")
    live, absent = LiveViews({"sound": ("mfcc_mean", {})}, window), {}
    streams, _ = live.open(tmp_path / "a.wav", absent)
    pushed = PushedViews(LiveSource(live, 22050, False))
    parts = np.split(samples, np.sort(random.integers(0, len(samples), 20)))
    found = [one for part in parts for one in pushed.push(part, ())["sound"]]
    assert_equal_windows({"sound": found + pushed.close()["sound"]}, streams, absent)


def test_pushed_pictures_give_the_windows_of_their_film(tmp_path):
    random = np.random.default_rng(0)
    images = [np.full((48, 64, 3), 8 * number, np.uint8) + random.integers(0, 8, (48, 64, 3), np.uint8) for number in range(23)]
    write_video(tmp_path / "a.avi", images, rate_fps=5, codec="ffv1")
    live, absent = LiveViews({"pictures": ("frames", PICTURES)}, (2.0, 1.0)), {}
    streams, _ = live.open(tmp_path / "a.avi", absent)
    pushed = PushedViews(LiveSource(live, None, True))
    found = []
    for frame in stream_frames(tmp_path / "a.avi"):
        found += pushed.push(None, [Picture(frame.time_s, png(frame.image)), Picture(frame.time_s + 0.01, b"no picture")])["pictures"]
    assert pushed.faces() == [], "no view takes faces"
    assert_equal_windows({"pictures": found + pushed.close()["pictures"]}, streams, absent)


def test_faces_of_the_last_picture_are_shares_of_it(monkeypatch):
    class Bright:
        def detect(self, image):
            rows, columns = np.nonzero(image[..., 0] > 200)
            return [Box(float(columns.min()), float(rows.min()), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1))]

    monkeypatch.setattr("data_prep.views.face_detection.make_detector", lambda name, path: Bright())
    pushed = PushedViews(LiveSource(LiveViews({"faces": ("hog", {})}, (1.0, 1.0)), None, True))
    assert pushed.faces() == []
    image = np.zeros((40, 80, 3), np.uint8)
    image[10:20, 20:60] = 255
    pushed.push(None, [Picture(0.0, png(image))])
    assert pushed.faces() == [(0.25, 0.25, 0.5, 0.25)]


def test_what_cannot_be_pushed_is_a_sentence():
    live = LiveViews({"sound": ("waveform", {}), "pictures": ("frames", PICTURES)}, (1.0, 1.0))
    with IsolatedPushedViews(LiveSource(live, 8000, False)) as views:
        assert views.views == ("sound",)
        for samples, pictures, message in (
            (np.zeros((5, 2)), (), "samples.mean"),
            (np.zeros(5, np.int16), (), "samples / 32768"),
            (np.array([np.inf]), (), "finite"),
            (np.zeros(8000 * 61), (), "push parts"),
            (None, [Picture(0, b"")], "pictures=True"),
        ):
            with pytest.raises(ValueError, match=message):
                views.push(samples, pictures)
    with pytest.raises(ValueError, match="rate_hz"), IsolatedPushedViews(LiveSource(live, None, True)) as views:
        views.push(np.zeros(5))
    with pytest.raises(ValueError, match="none of it comes in"):
        LiveSource(live, None, False)
    with pytest.raises(ValueError, match="no windows"):
        LiveSource(LiveViews({"sound": ("waveform", {})}), 8000, False)
    pushed = PushedViews(LiveSource(live, None, True))
    grey = png(np.full((8, 8, 3), 100, np.uint8))
    with pytest.raises(ValueError, match="no such gap"):
        pushed.push(None, [Picture(0.0, grey), Picture(1e9, grey)])


def test_a_process_that_dies_ends_the_stream():
    live = LiveViews({"sound": ("waveform", {}), "faces": ("faces", {"rate_fps": 5.0, "size_px": 8})}, (1.0, 1.0))
    with IsolatedPushedViews(LiveSource(live, 16000, True)) as views:
        made_up = views.begin()  # not part of the recording; with and without faces, since both are compiled
        assert len(made_up["sound"]) == 1
        assert [(len(one.segment.mask), one.segment.mask.all(), one.absent) for one in made_up["faces"]] == [
            (1, False, "no face"),
            (5, True, ""),
        ]
        assert [one.segment.times_s[0] < 0.1 for one in views.push(np.ones(16000))["sound"]] == [True]
        os.kill(views.process_id, 9)
        with pytest.raises(StreamEnded, match="SIGKILL"):
            views.push(np.ones(16000))
