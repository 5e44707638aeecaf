"""New media becomes the views of a system, with its damage told beside them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from written_media import chirp, numbered_images, write_sound, write_streams, write_video

from data_prep.live import LiveViews

MFCC = ("mfcc", {"num_coefficients": 5, "sample_rate_hz": 16000, "segment_s": 2.0})
FRAMES = ("frames", {"rate_fps": 5.0, "size_px": 16, "segment_s": 2.0})


@pytest.fixture
def film(tmp_path) -> Path:
    path = tmp_path / "film.mkv"
    write_video(path, numbered_images(125), sound=chirp(5.0, 16000))
    return path


def test_a_film_comes_as_segments_of_both_streams(film):
    live = LiveViews({"audio": MFCC, "video": FRAMES})
    assert live.views == {"audio": ((5,), "float32"), "video": ((16, 16, 3), "uint8")} and live.segment_s == 2.0
    streams, problems = live.open(film)
    segments = {name: list(stream) for name, stream in streams.items()}
    assert {name: len(found) for name, found in segments.items()} == {"audio": 3, "video": 3}
    assert [len(one.values) for one in segments["video"]] == [10, 10, 5]
    assert segments["video"][1].times_s[0] == pytest.approx(2.0, abs=0.05)
    assert problems == []


def test_nothing_is_decoded_before_it_is_read(tmp_path):
    streams, problems = LiveViews({"audio": MFCC}).open(tmp_path / "nothing.wav")
    assert problems == []
    assert list(streams["audio"]) == []
    assert [problem.kind for problem in problems] == ["missing"]


def test_a_silent_film_without_a_face_is_told(tmp_path):
    path = tmp_path / "grey.mkv"
    write_video(path, [np.full((64, 64, 3), 90, np.uint8)] * 30, sound=np.zeros(19200))
    faces = ("faces", {"rate_fps": 5.0, "size_px": 16, "segment_s": 2.0})
    streams, problems = LiveViews({"audio": MFCC, "video": faces}).open(path)
    segments = {name: list(stream) for name, stream in streams.items()}
    assert {problem.kind for problem in problems} == {"silent", "no_face"}
    assert not segments["video"][0].mask.any()


def test_sound_alone_serves_the_stream_that_has_it(tmp_path):
    path = tmp_path / "voice.wav"
    write_sound(path, chirp(3.0, 16000), rate_hz=16000, codec="pcm_s16le")
    streams, problems = LiveViews({"audio": MFCC, "video": FRAMES}).open(path)
    assert len(list(streams["audio"])) == 2 and list(streams["video"]) == []
    assert [problem.kind for problem in problems] == ["no_video"]


def test_a_picture_is_a_medium_too(tmp_path):
    path = tmp_path / "face.png"
    image = numbered_images(1)[0]
    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
    live = LiveViews({"audio": MFCC, "video": ("still", {"size_px": 16, "segment_s": 2.0})})
    streams, problems = live.open(path)
    (segment,) = streams["video"]
    np.testing.assert_array_equal(segment.values[0], cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA))
    assert list(streams["audio"]) == [] and [problem.kind for problem in problems] == ["no_audio"]
    path.write_bytes(path.read_bytes()[:-30])
    streams, problems = live.open(path)
    assert list(streams["video"]) == [] and [problem.kind for problem in problems] == ["truncated"]


def test_damage_in_the_middle_costs_what_comes_after_it(film):
    content = film.read_bytes()
    film.write_bytes(content[: len(content) * 6 // 10])
    streams, problems = LiveViews({"video": FRAMES}).open(film)
    assert 1 <= len(list(streams["video"])) < 3
    assert [problem.kind for problem in problems] == ["truncated"]


def test_views_that_new_media_cannot_have_are_refused(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("clip,a\nx,1\n")
    with pytest.raises(ValueError, match="table of its corpus"):
        LiveViews({"video": ("table", {"path": str(table)})})
    with pytest.raises(ValueError, match="segment_s"):
        LiveViews({"audio": MFCC, "video": ("frames", {"segment_s": 3.0})})


def test_silent_and_speechless_segments_are_noted(tmp_path):
    rate_hz = 16000
    time_s = np.arange(2 * rate_hz) / rate_hz
    voice = 0.3 * np.sin(2 * np.pi * 1000 * time_s)
    hum = 0.3 * np.sin(2 * np.pi * 50 * time_s)
    soundfile.write(tmp_path / "three.wav", np.concatenate([voice, 0 * voice, hum]), rate_hz)
    absent: dict[str, list[str]] = {}
    streams, problems = LiveViews({"audio": ("mfcc", {"sample_rate_hz": rate_hz, "segment_s": 2.0})}).open(tmp_path / "three.wav", absent)
    assert len(list(streams["audio"])) == 3
    assert absent == {"audio": ["", "silence", "no speech"]} and problems == []


@pytest.mark.parametrize("name", ["voice.flac", "voice.wav", "voice.mka"])
def test_what_precedes_damage_is_used_where_the_file_is_shorter_than_a_segment(tmp_path, name):
    write_sound(tmp_path / name, chirp(1.6, 16000), rate_hz=16000, codec={"flac": "flac", "wav": "pcm_s16le", "mka": "aac"}[name[6:]])
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 7 // 10])
    streams, problems = LiveViews({"audio": MFCC}).open(tmp_path / name)
    (segment,) = streams["audio"]
    assert segment.times_s[segment.mask][-1] > 0.7 and [problem.kind for problem in problems] == ["truncated"]
    assert "what precedes is used" in problems[0].detail


def test_notes_of_the_decoders_are_told(tmp_path):
    path = tmp_path / "film.mkv"
    write_streams(path, images=numbered_images(75), sound=np.stack([chirp(3, 16000), -chirp(3, 16000)]), layout="stereo", lost_s=(1.0, 1.5))
    streams, problems = LiveViews({"audio": MFCC, "video": FRAMES}).open(path)
    assert all(list(segments) for segments in streams.values())
    (problem,) = problems
    assert problem.kind == "silent" and "no sound was sent for 0.5" in problem.detail and "opposite phase" in problem.detail
    write_streams(path, images=numbered_images(75), sound=chirp(3, 16000), lost_s=(1.0, 1.5))
    streams, problems = LiveViews({"audio": MFCC}).open(path)
    assert list(streams["audio"]) and [problem.kind for problem in problems] == ["note"]
