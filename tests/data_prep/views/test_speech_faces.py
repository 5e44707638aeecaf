"""The face under each segment of speech: which frames it shows, and that it keeps step with the sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_speech import RATE_HZ, speech_like
from shared_data import shared_data
from written_media import numbered_images, write_sound, write_video

from avemo_jax.clips import Clip
from data_prep.corpora import synthetic
from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Frame
from data_prep.decoding.sound import stream_audio
from data_prep.live import LiveViews
from data_prep.sets import prepare
from data_prep.sets.staging import StageTask, stage_media
from data_prep.views import face_detection
from data_prep.views.face_boxes import Box
from data_prep.views.speech_faces import SpeechFaces, frames_between
from data_prep.views.speech_segments import SpeechSegments

SMALL = {"size_px": 4, "num_frames": 5}


class Marked:
    """Finds a face of the whole picture in every one whose first pixel is not zero, and counts its calls."""

    def __init__(self):
        self.num_calls = 0

    def detect(self, image):
        self.num_calls += 1
        return [Box(0, 0, image.shape[1], image.shape[0])] if image[0, 0, 0] else []


@pytest.fixture
def marked(monkeypatch) -> Marked:
    detector = Marked()
    monkeypatch.setattr(face_detection, "make_detector", lambda name, path: detector)
    return detector


def film(num_frames: int, rate_fps: float = 30.0, without: tuple[int, ...] = ()) -> list[Frame]:
    """Pictures of 8 x 8 that show their number, from 1 on; those `without` a face show 0."""
    return [Frame(index / rate_fps, np.full((8, 8, 3), 0 if index in without else index + 1, np.uint8)) for index in range(num_frames)]


def shown(segment) -> np.ndarray:
    """(T, num_frames) numbers of the pictures that the steps show."""
    assert (segment.values == segment.values[:, :, :1, :1, :1]).all()
    return segment.values[:, :, 0, 0, 0] - 1


def pieces(sound: np.ndarray, view) -> list[np.ndarray]:
    size = round(view.segment_s * RATE_HZ)
    return [sound[start : start + size] for start in range(0, len(sound), size)]


def segments(view, frames, sound: np.ndarray):
    return list(view.segments(iter(frames), iter(pieces(sound, view))))


class TestFrames:
    times_s = np.arange(60) / 30

    def test_twenty_of_655_ms_at_30_frames_a_second(self):
        # 0.3 s is frame 9; 0.955 s lies behind frame 28
        np.testing.assert_array_equal(frames_between(self.times_s, 0.3, 0.955, 20), range(9, 29))

    def test_first_and_last_are_duplicated_where_there_are_fewer(self):
        np.testing.assert_array_equal(frames_between(self.times_s, 0.32, 0.975, 20), [*range(10, 30)])
        np.testing.assert_array_equal(frames_between(np.arange(60) / 25, 0.0, 0.655, 20), [0, *range(17), 16, 16])
        np.testing.assert_array_equal(frames_between(np.arange(5) / 10, 0.0, 0.655, 8), [0, 0, 1, 2, 3, 4, 4, 4])

    def test_both_ends_are_removed_where_there_are_more(self):
        at_50 = np.arange(100) / 50  # 33 frames: 6 in front and 7 behind go
        np.testing.assert_array_equal(frames_between(at_50, 0.0, 0.655, 20), range(6, 26))
        np.testing.assert_array_equal(frames_between(self.times_s, 0.0, 0.655, 18), range(1, 19))

    def test_behind_the_end_of_the_picture_the_nearest_frame_is_shown(self):
        np.testing.assert_array_equal(frames_between(self.times_s, 2.1, 2.755, 3), [59, 59, 59])


def test_steps_show_the_face_under_their_sound(marked):
    view, sound = SpeechFaces(size_px=8), speech_like(3.0)
    found, heard = segments(view, film(90), sound), list(SpeechSegments().segments(iter([sound])))
    assert len(found) == len(heard) == 8
    for number, (segment, audio) in enumerate(zip(found, heard, strict=True)):
        assert segment.values.shape == (1, 20, 8, 8, 3) and segment.values.dtype == np.uint8 and segment.mask.tolist() == [True]
        np.testing.assert_array_equal(segment.times_s, audio.times_s)
        first = 9 * number
        np.testing.assert_array_equal(shown(segment)[0], range(first, first + 20))
    assert [segment.num_seen for segment in found] == [83, 0, 0, 0, 0, 0, 0, 0]  # frames of 2.755 s, each once
    assert marked.num_calls == 83


def test_only_frames_under_speech_are_looked_at(marked):
    sound = np.concatenate([np.zeros(2 * RATE_HZ, np.float32), speech_like(1.0), np.zeros(2 * RATE_HZ, np.float32)])
    found = segments(SpeechFaces(size_px=8), film(150), sound)
    assert len(found) == 3 and marked.num_calls <= 38
    assert shown(found[0])[0, 0] in (53, 54)  # 2 s less 0.2 s and a window


def test_a_frame_without_a_face_shows_the_nearest_with_one(marked):
    view = SpeechFaces(size_px=8, segments_per_example=0)
    (segment,) = segments(view, film(30, without=(0, 1, 9, 10, 29)), speech_like(0.96))
    np.testing.assert_array_equal(shown(segment), [[2, 2, *range(2, 9), 8, *range(11, 12), *range(11, 20)], [8, 11, *range(11, 29)]])
    assert (segment.num_seen, segment.num_with_face) == (29, 25)


def test_a_piece_without_any_face_keeps_its_place_and_is_masked_out(marked):
    sound = speech_like(4.0)
    view = SpeechFaces(**SMALL, segment_s=2.0)
    found = segments(view, film(120, without=tuple(range(60))), sound)
    assert len(found) == len(list(SpeechSegments(segment_s=2.0).segments(iter(pieces(sound, view))))) == 10
    assert [bool(segment.mask.all()) for segment in found] == [False] * 5 + [True] * 5
    assert not found[0].values.any() and sum(segment.num_with_face for segment in found) == found[5].num_with_face > 0


@pytest.mark.parametrize(("num_frames", "num_masked"), [(120, 0), (100, 0), (70, 0), (60, 5), (0, 10)])
def test_a_picture_shorter_than_the_sound_has_as_many_segments(marked, num_frames, num_masked):
    view = SpeechFaces(**SMALL, segment_s=2.0)
    found = segments(view, film(num_frames), speech_like(4.0))
    assert len(found) == 10 and sum(not segment.mask.any() for segment in found) == num_masked


@pytest.mark.parametrize("size", [0, 1, 2])
def test_both_views_have_the_same_examples(marked, size):
    sound = np.concatenate([speech_like(2.2), np.zeros(RATE_HZ, np.float32), speech_like(1.7, seed=1)])
    cut = {"segments_per_example": size, "segment_s": 3.0}
    seen = segments(SpeechFaces(**SMALL, **cut), film(147), sound)
    heard = list(SpeechSegments(**cut).segments(iter(pieces(sound, SpeechFaces(**cut)))))
    assert len(seen) == len(heard) > 1
    for one, other in zip(seen, heard, strict=True):
        np.testing.assert_array_equal(one.times_s, other.times_s)


def test_the_picture_is_read_to_its_end(marked):
    """A torn file shows only there; and no more than one frame is held."""
    left = iter(film(200))
    segments(SpeechFaces(**SMALL), left, np.concatenate([speech_like(1.0), np.zeros(3 * RATE_HZ, np.float32)]))
    assert next(left, None) is None


def both_views(path: Path, view: SpeechFaces):
    """Segments of a file's sound and of its picture."""

    def sound():
        return stream_audio(path, rate_hz=view.sample_rate_hz, segment_s=view.segment_s)

    return list(SpeechSegments().segments(sound())), list(view.segments(stream_frames(path), sound()))


def write_clip(folder: Path, name: str, duration_s: float = 2.0, sound: np.ndarray | None = None) -> None:
    images = numbered_images(round(duration_s * 25))
    write_video(folder / f"{name}.mkv", images, sound=speech_like(duration_s) if sound is None else sound, sound_rate_hz=RATE_HZ)


def test_a_clip_that_lacks_either_medium_is_lost_by_name(tmp_path):
    write_clip(tmp_path, "whole")
    write_clip(tmp_path, "still", sound=np.zeros(2 * RATE_HZ))
    write_sound(tmp_path / "sound.wav", speech_like(2.0), rate_hz=RATE_HZ, codec="pcm_s16le")
    write_video(tmp_path / "mute.mkv", numbered_images(50))
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "torn.mkv").write_bytes(content[: len(content) // 2])
    (tmp_path / "torn.wav").write_bytes((tmp_path / "sound.wav").read_bytes()[:20000])
    media = {
        "whole": ("whole.mkv", "whole.mkv"),
        "still": ("still.mkv", "still.mkv"),
        "no_picture": ("sound.wav", "sound.wav"),
        "no_film": ("sound.wav", None),
        "no_sound": ("mute.mkv", "mute.mkv"),
        "no_recording": (None, "whole.mkv"),
        "torn_picture": ("whole.mkv", "torn.mkv"),
        "torn_sound": ("torn.wav", "whole.mkv"),
        "no_file": ("absent.wav", "whole.mkv"),
    }
    lost = {}
    for name, (audio, video) in media.items():
        clip = Clip(name, "tiny", "happy", "s1", audio=audio, video=video)
        staged = stage_media(StageTask(clip, SpeechFaces(**SMALL), tmp_path, tmp_path / f"{name}.zip"))
        lost[name] = (staged.num_segments, staged.damage.kind)
    assert lost.pop("whole") == (5, "no_face")  # its pictures show none
    assert lost == {
        "still": (5, "no_face"),
        "no_picture": (0, "no_video"),
        "no_film": (0, "no_video"),
        "no_sound": (0, "no_audio"),
        "no_recording": (0, "no_audio"),
        "torn_picture": (0, "truncated"),
        "torn_sound": (0, "truncated"),
        "no_file": (0, "missing"),
    }


def test_a_clip_without_speech_is_told(tmp_path):
    hum = (0.1 * np.sin(2 * np.pi * 100 * np.arange(2 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    write_sound(tmp_path / "hum.wav", hum, rate_hz=RATE_HZ, codec="pcm_s16le")
    clip = Clip("hum", "tiny", "happy", "s1", audio="hum.wav")
    staged = stage_media(StageTask(clip, SpeechSegments(), tmp_path, tmp_path / "hum.zip"))
    assert staged.num_segments == 5 and staged.damage.kind == "no_speech" and "all of it is used" in staged.damage.detail


def test_the_key_follows_sound_and_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "run_tasks", lambda function, tasks, **_: ((name, function(task)) for name, task in tasks.items()))
    write_clip(tmp_path, "film")
    for seed in (0, 1):
        write_sound(tmp_path / f"{seed}.wav", speech_like(2.0, seed=seed), rate_hz=RATE_HZ, codec="pcm_s16le")

    def key(name="speech_faces", **change) -> str:
        clip = Clip("a", "tiny", **{"label": "happy", "speaker": "s1", "audio": "0.wav", "video": "film.mkv"} | change)
        params = SMALL if name == "speech_faces" else {}
        made = prepare.prepare_view(
            corpus="tiny",
            root=tmp_path,
            clips=[clip],
            view_name=name,
            view_params=params,
            prepared_dir=tmp_path / "prepared",
            num_workers=1,
        )
        return made.manifest.key

    keys = [key(), key(audio="1.wav"), key(start_s=0.5), key(start_s=0.5, video_start_s=0.0, video_end_s=2.0), key(video_region="left")]
    assert len(set(keys)) == len(keys)
    assert key(label="sad") == keys[0]
    assert key("speech_segments") == key("speech_segments", video=None) != key("speech_segments", audio="1.wav")


def test_new_media_gives_both_streams_in_step(tmp_path, marked):
    write_clip(tmp_path, "film", 3.0)
    live = LiveViews({"audio": ("speech_segments", {}), "video": ("speech_faces", SMALL)})
    assert live.step_s == 0.655 and live.segment_s == 10.0
    assert live.views == {"audio": ((64, 64, 3), "uint8"), "video": ((5, 4, 4, 3), "uint8")}
    streams, problems = live.open(tmp_path / "film.mkv")
    found = [list(stream) for stream in streams.values()]
    assert len(found[0]) == len(found[1]) == 8 and problems == []
    assert [one.times_s.tolist() for one in found[0]] == [one.times_s.tolist() for one in found[1]]
    assert LiveViews({"audio": ("logmel_496", {})}).step_s is None
    with pytest.raises(ValueError, match="must be cut alike"):
        LiveViews({"audio": ("speech_segments", {}), "video": ("speech_faces", {"shift_frames": 64})})


@pytest.mark.parametrize("emotion", ["happy", "sad"])
def test_streams_of_the_synthetic_corpus_keep_step(tmp_path, emotion):
    path = tmp_path / "film.mp4"
    synthetic.write_clip(path, actor=1, emotion=emotion, take=0, seed=0)
    heard, seen = both_views(path, SpeechFaces(size_px=24))
    assert len(seen) == len(heard) >= 2
    for one, other in zip(seen, heard, strict=True):
        np.testing.assert_array_equal(one.times_s, other.times_s)
        assert one.mask.all() and one.has_speech


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1001_DFA_ANG_XX", "1001_DFA_HAP_XX", "1001_DFA_NEU_XX"])
@pytest.mark.parametrize("detector", ["haar", "res10"])
def test_streams_of_real_clips_keep_step(name, detector):
    path = shared_data("crema_d", f"{name}.flv")
    files = {"haar": None, "res10": str(shared_data("models", "res10_ssd", "opencv_face_detector_uint8.pb"))}
    view = SpeechFaces(detector=detector, detector_path=files[detector])
    heard, seen = both_views(path, view)
    assert len(seen) == len(heard) >= 3 and all(one.has_speech for one in heard)
    for one, other in zip(seen, heard, strict=True):
        np.testing.assert_array_equal(one.times_s, other.times_s)
        assert one.values.shape == (1, 20, 227, 227, 3) and one.mask.all() and one.values.std() > 10
    assert seen[0].num_with_face >= 0.9 * seen[0].num_seen
