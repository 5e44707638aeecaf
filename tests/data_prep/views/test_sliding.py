"""Windows that overlap: each as if the recording began there, none missing, and little in memory."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from data_prep.decoding.media import Frame
from data_prep.live import LiveViews, why_no_windows
from data_prep.views import make_view
from data_prep.views.sliding import SlidingView

RATE_HZ = 16000


def pieces(samples: np.ndarray, hop_s: float) -> list[np.ndarray]:
    hop = round(hop_s * RATE_HZ)
    return [samples[start : start + hop] for start in range(0, len(samples), hop)]


def film(duration_s: float, rate_fps: float = 10.0, gap_s: tuple[float, float] = (0.0, 0.0)) -> list[Frame]:
    """Return frames of which the brightness is ten times their time in s."""
    times_s = [k / rate_fps for k in range(round(duration_s * rate_fps)) if not gap_s[0] <= k / rate_fps < gap_s[1]]
    return [Frame(time_s, np.full((8, 8, 3), round(10 * time_s), np.uint8)) for time_s in times_s]


@pytest.mark.parametrize("name", ["logmel_whisper", "waveform", "mfcc"])
def test_a_window_of_sound_is_encoded_by_itself(name):
    """The scale of Whisper's frames and librosa's padding depend on the segment, so windows cannot be cut out of longer segments."""
    samples = (0.1 * np.random.default_rng(0).normal(size=round(5.4 * RATE_HZ)) * np.linspace(0, 1, round(5.4 * RATE_HZ))).astype(
        np.float32
    )
    view = make_view(name, segment_s=3.0, **({"sample_rate_hz": RATE_HZ} if name == "mfcc" else {}))
    found = list(SlidingView(view, 1.0).segments(iter(pieces(samples, 1.0))))
    assert len(found) == 4  # from 0, 1 and 2 s; the last from 3 s to the end
    for number, one in enumerate(found):
        (alone,) = view.segments(iter([samples[number * RATE_HZ : (number + 3) * RATE_HZ]]))
        np.testing.assert_array_equal(one.values, alone.values)
        np.testing.assert_allclose(one.times_s, alone.times_s + number, atol=1e-5)


@pytest.mark.parametrize(("duration_s", "expected"), [(0.5, 1), (3.0, 1), (3.1, 2), (4.0, 2), (5.4, 4)])
def test_windows_reach_the_end_of_sound_and_film(duration_s, expected):
    sound = SlidingView(make_view("waveform", segment_s=3.0), 1.0)
    assert len(list(sound.segments(iter(pieces(np.ones(round(duration_s * RATE_HZ), np.float32), 1.0))))) == expected
    frames = SlidingView(make_view("frames", segment_s=3.0, rate_fps=10.0, size_px=8), 1.0)
    found = list(frames.segments(iter(film(duration_s))))
    assert len(found) == expected
    for number, one in enumerate(found):
        np.testing.assert_array_equal(one.values[:, 0, 0, 0], np.arange(10 * number, min(10 * number + 30, round(10 * duration_s))))


@pytest.mark.parametrize("name", ["frames", "keyframes", "frame_windows", "flow_windows", "faces", "hog"])
def test_a_window_of_film_is_made_as_if_the_film_began_there(name, monkeypatch):
    monkeypatch.setattr("data_prep.views.faces.largest_face", lambda image, *_, **__: image[:16, :16] if image[0, 0, 0] % 3 else None)
    sizes = {"faces": {"size_px": 16, "gray": True}, "hog": {"size_px": 16, "pixels_per_cell": 4}}.get(name, {"size_px": 16})
    rates = {"keyframes": {"num_frames": 3}, "frame_windows": {"num_frames": 5}, "flow_windows": {"num_frames": 5}}.get(name, {})
    view = make_view(name, segment_s=2.0, **sizes, **rates, **({} if name == "keyframes" else {"rate_fps": 5.0}))
    images = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 3), np.uint8)
    found = list(SlidingView(view, 1.0).segments(Frame(k / 10, image) for k, image in enumerate(images)))
    assert len(found) == 3 and any(one.mask.all() for one in found)
    for number, one in enumerate(found):
        (alone,) = view.segments(Frame(k / 10, image) for k, image in enumerate(images[10 * number :][:20]))
        np.testing.assert_array_equal(one.values, alone.values)
        np.testing.assert_array_equal(one.mask, alone.mask)
        np.testing.assert_allclose(one.times_s, alone.times_s + number, atol=1e-5)


def test_frames_of_a_film_are_looked_at_once_and_held_for_a_window():
    looked: list[float] = []

    class Counted(Frame):
        @property
        def image(self):
            looked.append(self.time_s)
            return np.zeros((8, 8, 3), np.uint8)

    view = SlidingView(make_view("frames", segment_s=3.0, rate_fps=5.0, size_px=8), 1.0)
    segments = view.segments(Counted(k / 5, lambda: None) for k in range(500))
    next(segments)
    assert len(looked) == 16  # of 3 s, and the one that shows that they are over
    assert len(list(segments)) == 97 and len(looked) == len(set(looked)) == 500


def test_a_gap_of_a_film_gives_windows_without_a_step():
    view = SlidingView(make_view("keyframes", segment_s=2.0, num_frames=2, size_px=8), 1.0)
    found = list(view.segments(iter(film(9.0, gap_s=(2.0, 7.0)))))
    assert [bool(one.mask.any()) for one in found] == [True, True, False, False, False, False, True, True]


def test_views_of_fixed_segments_say_why_they_have_no_windows():
    assert why_no_windows({"a": ("mfcc", {"sample_rate_hz": RATE_HZ}), "v": ("faces", {})}) == ""
    assert "segments of 5 s of the view mfcc" in why_no_windows({"a": ("mfcc", {"padded_s": 5.0, "segment_s": 5.0})})
    assert "segments of 5 s of the view logmel_496" in why_no_windows({"a": ("logmel_496", {})})
    assert "segments of 5 s of the view logmel_patches" in why_no_windows({"a": ("logmel_patches", {})})
    assert "single pictures" in why_no_windows({"v": ("still", {})}) and "speech" in why_no_windows({"a": ("speech_segments", {})})
    with pytest.raises(ValueError, match="cannot predict windows, because"):
        LiveViews({"v": ("still", {})}, window=(3.0, 1.0))
    with pytest.raises(ValueError, match="0 < --hop_s <= --window_s"):
        LiveViews({"a": ("waveform", {})}, window=(1.0, 2.0))


def test_a_window_is_silent_where_all_of_it_is(tmp_path):
    samples = np.tile(0.3 * np.sin(2 * np.pi * 300 * np.arange(RATE_HZ) / RATE_HZ), 8)
    samples[2 * RATE_HZ : 6 * RATE_HZ] = 0
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ)
    absent: dict[str, list[str]] = {}
    streams, problems = LiveViews({"a": ("waveform", {})}, window=(3.0, 1.0)).open(tmp_path / "a.wav", absent)
    assert len(list(streams["a"])) == 6 and problems == []
    assert absent["a"] == ["no speech", "no speech", "silence", "silence", "no speech", "no speech"]  # a tone is no speech
