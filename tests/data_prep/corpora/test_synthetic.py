"""The synthetic corpus: what is on disk, that chance is the seed's alone, and that the default face detector finds its faces."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from data_prep.corpora import load_clips, synthetic
from data_prep.corpora.synthetic_face import EXPRESSIONS, SIZE_PX, Looks
from data_prep.corpora.synthetic_voice import MANNERS, SAMPLE_RATE_HZ, Voice, speak


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A corpus of two actors and one take."""
    root = tmp_path_factory.mktemp("synthetic")
    synthetic.make(root, num_actors=2, num_takes=1, seed=3)
    return root


def decode(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (F, H, W, 3) uint8 RGB and samples (S,) of a film."""
    with av.open(str(path)) as container:
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return pictures, samples


def test_clips_are_balanced_and_complete(small):
    clips = load_clips("synthetic", small, num_actors=2, num_takes=1, seed=3)
    assert len(clips) == 16
    assert {(clip.corpus, clip.speaker, clip.gender) for clip in clips} == {("synthetic", "01", "male"), ("synthetic", "02", "female")}
    assert sorted(clip.label for clip in clips if clip.speaker == "01") == sorted(EXPRESSIONS) == sorted(MANNERS)
    assert all(clip.audio == clip.video and (small / clip.audio).is_file() for clip in clips)


def test_takes_alternate_the_sentences():
    assert [synthetic.film_name(7, "02", take) for take in range(3)] == [
        "01-01-02-01-01-01-07.mp4",
        "01-01-02-01-02-01-07.mp4",
        "01-01-02-01-01-02-07.mp4",
    ]


def test_films_have_picture_and_sound_of_one_length(small):
    for path in sorted(small.rglob("*.mp4"))[::5]:
        pictures, samples = decode(path)
        assert pictures.shape[1:] == (SIZE_PX, SIZE_PX, 3)
        assert 1.5 <= len(pictures) / synthetic.RATE_FPS <= 2.5
        assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(len(pictures) / synthetic.RATE_FPS, abs=0.05)
        assert np.isfinite(samples).all() and 0.01 < np.abs(samples).max() <= 1.0


def test_the_default_detector_finds_the_faces(small):
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    found = [
        len(detector.detectMultiScale(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), scaleFactor=1.1, minNeighbors=3)) > 0
        for path in sorted(small.rglob("*.mp4"))
        for picture in decode(path)[0][::6]
    ]
    assert len(found) >= 80
    assert np.mean(found) >= 0.95


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(small, tmp_path):
    path = small / "Actor_02" / "01-01-05-01-01-01-02.mp4"
    for seed in (3, 4):
        synthetic.write_clip(tmp_path / f"{seed}.mp4", actor=2, emotion="angry", take=0, seed=seed)
    assert (tmp_path / "3.mp4").read_bytes() == path.read_bytes()
    assert (tmp_path / "4.mp4").read_bytes() != path.read_bytes()


def test_actors_keep_their_voice_and_looks_and_differ():
    person = [np.random.default_rng([0, actor]) for actor in (1, 1, 3)]
    looks = [Looks.draw(rng, male=True) for rng in person]
    voices = [Voice.draw(rng, male=True) for rng in person]
    assert looks[0] == looks[1] != looks[2]
    assert voices[0] == voices[1] != voices[2]


def test_a_sad_voice_is_softer_and_darker_than_an_angry_one():
    voice = Voice(pitch_hz=120.0, tract=1.0, energy_db=0.0, tilt_hz=1500.0)
    spoken = {emotion: [speak(np.random.default_rng(i), voice, emotion, "1", 2.0)[0] for i in range(6)] for emotion in ("sad", "angry")}
    level_db = {emotion: np.mean([20 * np.log10(np.std(samples)) for samples in clips]) for emotion, clips in spoken.items()}
    assert level_db["angry"] - level_db["sad"] > 8.0

    def brightness(samples):  # share of the power above 2 kHz
        power = np.abs(np.fft.rfft(samples)) ** 2
        return power[np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ) > 2000].sum() / power.sum()

    assert np.mean([brightness(s) for s in spoken["angry"]]) > 2 * np.mean([brightness(s) for s in spoken["sad"]])


def test_a_finished_corpus_is_left_alone_and_a_half_made_one_is_finished(small):
    lost, kept = sorted(small.rglob("*.mp4"))[:2]
    before = kept.stat().st_mtime_ns
    lost_bytes = lost.read_bytes()
    lost.unlink()
    synthetic.make(small, num_actors=2, num_takes=1, seed=3)
    assert not lost.exists()  # the marker says finished, so nothing was looked at
    marker = small / synthetic.MARKER
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"finished": False}))
    synthetic.make(small, num_actors=2, num_takes=1, seed=3)
    assert lost.read_bytes() == lost_bytes
    assert kept.stat().st_mtime_ns == before
    assert not [path for path in small.rglob(".*") if path.is_file()]


def test_other_numbers_and_other_folders_are_refused(small, tmp_path):
    with pytest.raises(ValueError, match=r"another synthetic corpus: num_takes 1 \(asked for 2\).*--config\.corpus\.root="):
        synthetic.make(small, num_actors=2, num_takes=2, seed=3)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"is not empty and holds no synthetic\.json.*--config\.corpus\.root="):
        load_clips("synthetic", tmp_path)
    with pytest.raises(ValueError, match=r"num_actors must lie in 1\.\.99.*got 100"):
        synthetic.make(tmp_path / "new", num_actors=100)
    assert not (tmp_path / "new").exists()
