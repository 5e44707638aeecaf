"""The outline of a sound, and a film with what was predicted drawn into it, with its sound."""

from __future__ import annotations

import av
import numpy as np
import pytest
import soundfile

from data_prep.overlay import OverlayTask, ShownFace, draw, write_overlay
from data_prep.timeline_media import NO_SOUND, sound_outline
from data_prep.views.face_boxes import Box

COLOURS = {"calm": "#ff0000", "happy": "#0000ff"}


def test_an_outline_has_the_peaks_of_its_columns(tmp_path):
    samples = np.zeros(16000 * 4, np.float32)
    samples[32000:48000] = 0.5 * np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    found = sound_outline(tmp_path / "a.wav")
    assert found.duration_s == 4 and len(found.low) == len(found.high) == 400
    np.testing.assert_allclose(found.high[210:290], 0.5, atol=0.05)
    np.testing.assert_allclose(found.low[210:290], -0.5, atol=0.05)
    np.testing.assert_allclose(found.high[:190], 0, atol=0.01)


def test_long_sound_has_no_more_columns_and_a_broken_file_none(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.timeline_media._MOST_COLUMNS", 50)
    soundfile.write(tmp_path / "a.wav", np.linspace(0, 0.5, 8000 * 4, dtype=np.float32), 8000)
    found = sound_outline(tmp_path / "a.wav")
    assert len(found.low) == 50 and found.duration_s == pytest.approx(4)
    np.testing.assert_allclose(found.low, np.arange(50) / 100, atol=0.005)
    np.testing.assert_allclose(found.high, np.arange(1, 51) / 100, atol=0.005)
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    assert sound_outline(tmp_path / "broken.mp4") is NO_SOUND


def make_film(path, *, num_frames: int = 10, has_sound: bool = True) -> None:
    """Write a film of grey pictures of 64 x 48 px at 10 frames/s, with a tone."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono") if has_sound else None
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        if sound is not None:
            tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(1600 * num_frames) / 16000)
            samples = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="fltp", layout="mono")
            samples.sample_rate = 16000
            container.mux(sound.encode(samples))
            container.mux(sound.encode(None))


@pytest.mark.parametrize("has_sound", [True, False])
def test_an_overlay_has_the_frames_and_the_sound_of_the_film(tmp_path, has_sound):
    make_film(tmp_path / "a.mp4", has_sound=has_sound)
    hops = ((0.0, 0.5, "calm", [0.9, 0.1]), (0.5, 1.0, "silence", []))
    assert write_overlay(OverlayTask(tmp_path / "a.mp4", tmp_path / "o.mp4", hops, COLOURS, "#00ff00")) == ""
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert {one.type for one in container.streams} == ({"video", "audio"} if has_sound else {"video"})
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([k / 10 for k in range(10)], abs=1e-3)
    assert (frames[0].width, frames[0].height) == (640, 480)  # enlarged, so that words can be read
    first, last = (frames[at].to_ndarray(format="rgb24").astype(int) for at in (0, 9))
    label = np.s_[15:18, 14:20]  # the ground of the label
    assert first[label][..., 0].mean() > 180 and first[label][..., 2].mean() < 80
    assert last[label][..., 1].mean() > 180 and last[label][..., 0].mean() < 80
    panel = np.s_[470:472, 120:125]
    assert first[panel].mean() < 70 and last[panel].mean() > 110, "bars stand where there are probabilities alone"


def test_a_sound_or_a_broken_file_gives_a_sentence(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    (tmp_path / "b.mp4").write_bytes(b"no film")
    for name in ("a.wav", "b.mp4"):
        assert name in write_overlay(OverlayTask(tmp_path / name, tmp_path / "o.mp4", (), COLOURS, "#00ff00"))
    assert not (tmp_path / "o.mp4").exists()


def test_faces_are_boxed_in_the_colour_of_the_label():
    image = np.full((480, 640, 3), 100, np.uint8)
    faces = [ShownFace(Box(200, 100, 150, 200, 1.0), "1"), ShownFace(Box(450, 100, 60, 60, 0.5))]
    draw(image, faces, (0, 1, "happy", [0.2, 0.8]), COLOURS, "#00ff00")
    for y, x in ((200, 200), (300, 270), (130, 450)):
        assert tuple(image[y, x]) == (0, 0, 255)
    assert tuple(image[90, 202]) == (0, 0, 255) and tuple(image[90, 452]) == (100, 100, 100), "the number of a face that has one"
    assert tuple(image[15, 12]) == (0, 0, 255), "of several faces it is not known whose the label is"


def test_people_have_their_own_boxes_and_labels(tmp_path):
    make_film(tmp_path / "a.mp4", has_sound=False)
    left = ("person 1", [0.0, 0.8], [(0.2, 0.4, 0.2, 0.3)] * 2, [(0.0, 1.0, "happy", [0.2, 0.8])], [(0.0, 1.0, "speaks", [])])
    right = ("person 2", [0.0, 0.1], [(0.6, 0.4, 0.2, 0.3)] * 2, [(0.0, 1.0, "calm", [0.9, 0.1])], [])
    hops = ((0.0, 1.0, "calm", [0.9, 0.1]),)
    assert write_overlay(OverlayTask(tmp_path / "a.mp4", tmp_path / "o.mp4", hops, COLOURS, "#00ff00", people=(left, right))) == ""
    with av.open(str(tmp_path / "o.mp4")) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    at_left, at_right = image[250, 127:131].mean(axis=0), image[250, 383:387].mean(axis=0)
    assert at_left[2] > at_left[0] + 60 and at_right[0] > at_right[2] + 60
