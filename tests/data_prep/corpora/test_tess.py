"""TESS in the spellings it is found in, its complete list of names, and its odd files, which really decode."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_trees import touch
from shared_data import shared_data

from avemo_jax.labels import label_set
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import load_clips, tess
from data_prep.decoding.containers import probe
from data_prep.decoding.sound import stream_audio

FOLDERS = {"ps": "Pleasant_surprise", "disgust": "disgust"}  # one of the spellings in circulation; others begin with a capital


def complete(root: Path) -> Path:
    """Every name of the corpus as an empty file, in the spelling that most sources have."""
    words = [
        f"{first}{second}"
        for first in "abcdefghijklmnopqrst"
        for second in ("ack", "ar", "ean", "in", "ot", "ud", "ell", "ill", "oon", "ite")
    ]
    for speaker in ("OAF", "YAF"):
        for emotion in tess.EMOTIONS:
            folder = root / f"{speaker}_{FOLDERS.get(emotion, emotion.capitalize())}"
            folder.mkdir(parents=True)
            for word in words:
                name = f"OA_{word}" if (speaker, emotion, word) == ("OAF", "neutral", "bite") else f"{speaker}_{word}"
                (folder / f"{name}_{emotion}.wav").touch()
    return root


def test_the_complete_corpus_has_the_owner_s_counts(tmp_path):
    clips = load_clips("tess", complete(tmp_path))
    assert len(clips) == tess.NUM_CLIPS == 2800
    assert Counter(clip.speaker for clip in clips) == {"OAF": 1400, "YAF": 1400}
    words = ("angry", "disgust", "fear", "happy", "neutral", "pleasant_surprise", "sad")
    assert Counter(clip.label for clip in clips) == {word: 400 for word in words}
    assert len({clip.sentence for clip in clips}) == 200
    assert {clip.gender for clip in clips} == {"female"} and {clip.session for clip in clips} == {""}
    assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in clips)
    assert all((tmp_path / clip.audio).is_file() and clip.video is None for clip in clips)


@pytest.mark.parametrize("folder", ["OAF_Pleasant_surprise/", "OAF_pleasant_surprised/", "TESS/TESS/OAF_ps/", ""])
def test_the_file_s_name_tells_everything(tmp_path, folder):
    (clip,) = load_clips("tess", touch(tmp_path, f"{folder}OAF_back_ps.wav"))
    assert (clip.clip_id, clip.label, clip.speaker, clip.sentence) == ("OAF_back_ps", "pleasant_surprise", "OAF", "back")
    assert (clip.audio, clip.attributes) == (f"{folder}OAF_back_ps.wav", {"age": "64"})


def test_the_misspelt_file_belongs_to_its_speaker(tmp_path):
    (clip,) = load_clips("tess", touch(tmp_path, "OAF_neutral/OA_bite_neutral.wav"))
    assert (clip.clip_id, clip.speaker, clip.audio) == ("OAF_bite_neutral", "OAF", "OAF_neutral/OA_bite_neutral.wav")
    assert tess.clip_id("OA_bite_neutral") == tess.clip_id("OAF_bite_neutral") == "OAF_bite_neutral"
    assert tess.clip_id("YA_bite_neutral") is None and tess.clip_id("03-01-01-01-01-01-01") is None


def test_copies_and_strangers_are_said(tmp_path):
    touch(tmp_path, "YAF_sad/YAF_back_sad.wav", "TESS/YAF_sad/YAF_back_sad.wav", "YAF_sad/YAF_back_bored.wav", "YAF_sad/._YAF_bar_sad.wav")
    with pytest.warns(UserWarning) as raised:
        (clip,) = load_clips("tess", tmp_path)
    assert clip.audio == "YAF_sad/YAF_back_sad.wav"
    messages = [str(warning.message) for warning in raised]
    assert "second copies" in messages[0] and "1 files: TESS/YAF_sad/YAF_back_sad.wav" in messages[0]
    assert "1 media files: YAF_sad/YAF_back_bored.wav" in messages[1]


def test_its_words_are_seven_classes(tmp_path):
    clips = load_clips("tess", complete(tmp_path))
    assert Counter(label_set("basic7").class_index(clip.label) for clip in clips) == {index: 400 for index in range(7)}


def test_cross_speaker2_of_the_complete_corpus(tmp_path):
    clips = load_clips("tess", complete(tmp_path))
    table = make_folds("cross_speaker2", clips, [0] * len(clips))
    assert [(len(fold.train), len(fold.validation), len(fold.test)) for fold in table.folds] == [(1120, 280, 1400)] * 2


def test_an_aiff_file_named_wav_and_another_rate_decode(tmp_path):
    tone = (0.3 * np.sin(np.arange(24414) / 10)).astype(np.float32)
    for name, rate_hz, kind in (("a.wav", 24414, "WAV"), ("b.wav", 24414, "AIFF"), ("c.wav", 96000, "WAV")):
        soundfile.write(tmp_path / name, tone, rate_hz, subtype="PCM_16", format=kind)
    plain, aiff, fast = (np.concatenate(list(stream_audio(tmp_path / f"{name}.wav", rate_hz=16000))) for name in "abc")
    assert (tmp_path / "b.wav").read_bytes()[:4] == b"FORM"
    np.testing.assert_array_equal(aiff, plain)
    assert abs(len(plain) - 16000) <= 2 and abs(len(fast) - 4069) <= 2


def test_the_odd_files_of_the_real_corpus_decode(tmp_path):
    """The two AIFF files are written as the source has them: AIFF, named .wav."""
    for name, rate_hz in (("YAF_fear/YAF_neat_fear", 24414), ("YAF_angry/YAF_germ_angry", 24414), ("OAF_fear/OAF_food_fear", 96000)):
        samples, found_hz = soundfile.read(shared_data("tess", f"{name}.flac"), dtype="int16")
        assert found_hz == rate_hz
        path = tmp_path / f"{Path(name).name}.wav"
        soundfile.write(path, samples, rate_hz, subtype="PCM_16", format="WAV" if rate_hz == 96000 else "AIFF")
        assert probe(path).audio_rate_hz == rate_hz
        (decoded,) = stream_audio(path, rate_hz=rate_hz)
        np.testing.assert_array_equal(decoded, samples.astype(np.float32) / 32768)
        (resampled,) = stream_audio(path, rate_hz=16000)
        assert abs(len(resampled) / 16000 - len(samples) / rate_hz) < 1e-3 and 0.01 < np.abs(resampled).max() <= 1.0


def test_the_real_clips_at_hand():
    clips = load_clips("tess", shared_data("tess"))
    assert len(clips) == 980 and len({clip.sentence for clip in clips}) == 70
    assert Counter((clip.speaker, clip.label) for clip in clips) == {
        (speaker, label): 70 for speaker in tess.AGES for label in tess.EMOTIONS.values()
    }
