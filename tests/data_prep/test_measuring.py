"""Measures of clips for `--mode=explore`, on sounds and films with known ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import soundfile
from shared_data import shared_data
from written_media import write_video

from avemo_jax.clips import Clip
from data_prep.corpora.synthetic_face import Looks, frames
from data_prep.measuring import MeasureTask, measure, measure_clips

RATE_HZ = 16_000


def clip_of(name: str, *, audio: str | None = None, video: str | None = None, **fields) -> Clip:
    return Clip(name, "made", "happy", "1", audio=audio, video=video, **fields)


def tone(seconds: float, amplitude: float) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * 400 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def test_a_sound_by_hand(tmp_path):
    # Two seconds of a tone 40 dB above the second of a softer one.
    soundfile.write(tmp_path / "a.wav", np.concatenate([tone(2, 0.5), tone(1, 0.005)]), RATE_HZ, subtype="FLOAT")
    found = measure(MeasureTask(clip_of("a", audio="a.wav"), tmp_path, shows=True))
    assert found.sound_s == pytest.approx(3.0) and found.clipped_share == 0 and found.damage == ""
    assert found.peak_db == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert found.level_db == pytest.approx(10 * np.log10((2 * 0.125 + 0.125e-4) / 3), abs=0.01)
    assert found.snr_db == pytest.approx(40, abs=0.1)
    picture = cv2.imdecode(np.frombuffer(found.spectrogram, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (96, 297)  # a column each 10 ms
    assert abs(int(picture[:, 50].argmin()) - (95 - 96 * 400 / 8000)) < 1  # darkest at 400 Hz, low frequencies below
    assert found.film_s is None and found.num_searched == 0


def test_clipping_is_measured_at_the_rate_of_the_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.clip(tone(1, 2.0), -1, 1), RATE_HZ, subtype="PCM_16")
    assert measure(MeasureTask(clip_of("a", audio="a.wav"), tmp_path, shows=False)).clipped_share == pytest.approx(2 / 3, abs=0.02)


def test_a_span_of_a_file_is_measured_alone(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.concatenate([tone(2, 0.5), tone(1, 0.05)]), RATE_HZ)
    found = measure(MeasureTask(clip_of("a", audio="a.wav", start_s=2.0, end_s=3.0), tmp_path, shows=False))
    assert (found.sound_s, found.peak_db) == (pytest.approx(1.0), pytest.approx(-26.0, abs=0.1)) and found.spectrogram == b""


def test_a_film_and_a_still(tmp_path):
    random = np.random.default_rng(0)
    faces = list(frames(random, Looks.draw(random, male=False), "happy", np.zeros(20), 10.0))
    empty = np.full((160, 160, 3), 90, np.uint8)
    write_video(tmp_path / "a.avi", [empty] * 10 + faces, rate_fps=10)
    found = measure(MeasureTask(clip_of("a", video="a.avi"), tmp_path, shows=True))
    assert (found.film_s, found.rate_fps, found.width_px, found.height_px) == (pytest.approx(3.0), pytest.approx(10.0), 160, 160)
    assert (found.num_searched, found.num_with_face) == (3, 2) and 40 < found.face_px < 160
    shown = cv2.imdecode(np.frombuffer(found.picture, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (96, 96, 3) and shown.std() > 20  # the face, not the empty frame before it
    cv2.imwrite(str(tmp_path / "b.png"), empty)
    still = measure(MeasureTask(clip_of("b", video="b.png"), tmp_path, shows=True))
    assert (still.film_s, still.rate_fps, still.num_searched, still.num_with_face, still.face_px) == (0.0, None, 1, 0, None)
    assert still.picture


def test_damage_of_one_medium_leaves_the_other_and_other_clips(tmp_path):
    soundfile.write(tmp_path / "whole.wav", tone(1, 0.5), RATE_HZ)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:20_000])
    clips = [
        clip_of("cut", audio="cut.wav"),
        clip_of("lost", audio="whole.wav", video="lost.mp4"),
        clip_of("whole", audio="whole.wav"),
    ]
    found = measure_clips(clips, tmp_path, num_workers=1)
    assert found["whole"].damage == "" and found["whole"].sound_s == pytest.approx(1.0)
    assert found["lost"].damage.startswith("missing: ") and found["lost"].sound_s == pytest.approx(1.0)
    assert "truncated" in found["cut"].damage and 0.5 < found["cut"].sound_s < 0.7


def test_a_real_film():
    folder = shared_data("crema_d")
    found = measure(MeasureTask(clip_of("a", audio="1001_DFA_HAP_XX.flv", video="1001_DFA_HAP_XX.flv"), folder, shows=True))
    assert found.damage == "" and abs(found.film_s - found.sound_s) < 0.2
    assert found.num_with_face == found.num_searched > 1 and found.picture and found.spectrogram
