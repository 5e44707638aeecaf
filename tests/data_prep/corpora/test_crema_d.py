"""CREMA-D: the complete list of names, films whose first stream is data, and the table of actors."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter

import numpy as np
import pytest
from made_trees import by_id, touch
from shared_data import shared_data

from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import CorpusNotFound, crema_d, load_clips
from data_prep.decoding.containers import probe
from data_prep.decoding.films import stream_frames
from data_prep.decoding.sound import stream_audio

DEMOGRAPHICS = "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n1002,21,Female,Caucasian,Not Hispanic\n"


def complete():
    """91 actors x 82 performances, less the twenty that were never recorded (which ones does not matter here)."""
    performances = [f"{sentence}_{emotion}_XX" for sentence in crema_d.SENTENCES[1:] for emotion in crema_d.EMOTIONS]
    performances += [f"IEO_{emotion}_{level}" for emotion in crema_d.EMOTIONS if emotion != "NEU" for level in ("LO", "MD", "HI")]
    performances.append("IEO_NEU_XX")
    names = [f"{actor}_{performance}" for actor, performance in itertools.product(range(1001, 1092), performances)]
    return [name for name in names if not (name[:4] in ("1008", "1009") and name[5:] in performances[:10])]


def test_the_complete_corpus_has_the_owner_s_counts(tmp_path):
    names = complete()
    root = touch(tmp_path, *(f"VideoFlash/{name}.flv" for name in names), *(f"AudioWAV/{name}.wav" for name in names))
    clips = load_clips("crema_d", root)
    assert len(clips) == crema_d.NUM_CLIPS == 7442
    assert len({clip.speaker for clip in clips}) == 91 and len({clip.sentence for clip in clips}) == 12
    assert {clip.label for clip in clips} == {"anger", "disgust", "fear", "happy", "neutral", "sad"}
    levels = Counter(clip.attributes["level"] for clip in clips)
    assert {level: levels[level] for level in ("low", "medium", "high")} == dict.fromkeys(("low", "medium", "high"), 91 * 5)
    assert all(clip.audio == f"AudioWAV/{clip.clip_id}.wav" and clip.video == f"VideoFlash/{clip.clip_id}.flv" for clip in clips[:10])
    folds = make_folds("seq5", clips, [0] * len(clips)).folds
    speaker_of = {clip.clip_id: clip.speaker for clip in clips}
    tested = [sorted({int(speaker_of[clip_id]) for clip_id in fold.test}) for fold in folds]
    assert [(group[0], group[-1], len(group)) for group in tested] == [
        (1001, 1018, 18),
        (1019, 1036, 18),
        (1037, 1054, 18),
        (1055, 1072, 18),
        (1073, 1091, 19),
    ]
    assert {speaker_of[clip_id] for clip_id in folds[4].validation} == {str(number) for number in range(1001, 1007)}


def test_the_table_of_actors_and_what_it_does_not_know(tmp_path):
    touch(tmp_path, "AudioWAV/1001_IEO_ANG_HI.wav", "AudioWAV/1002_TIE_HAP_XX.wav", "AudioWAV/1003_TIE_SAD_XX.wav")
    (tmp_path / "VideoDemographics.csv").write_text(DEMOGRAPHICS)
    clips = load_clips("crema_d", tmp_path)
    assert [(clip.speaker, clip.gender, clip.attributes) for clip in clips] == [
        ("1001", "male", {"level": "high", "age": "51"}),
        ("1002", "female", {"level": "unspecified", "age": "21"}),
        ("1003", "unknown", {"level": "unspecified"}),
    ]


def test_what_raters_said_in_place_of_what_was_acted(tmp_path):
    names = ["1001_IEO_ANG_HI", "1001_IEO_ANG_LO", "1001_TIE_SAD_XX", "1001_TIE_HAP_XX"]
    touch(tmp_path, *(f"AudioWAV/{name}.wav" for name in names))
    with pytest.raises(CorpusNotFound, match=r"4 clips, and no summaryTable\.csv"):
        load_clips("crema_d", tmp_path, label_target="crowd")
    header = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"'
    votes = [f'"{number}","{name}","N","1","N","1","{vote}","1"' for number, (name, vote) in enumerate(zip(names, "DAS", strict=False))]
    votes[1] = votes[1].replace('"A"', '"A:D"')
    (tmp_path / "processedResults").mkdir()
    (tmp_path / "processedResults/summaryTable.csv").write_text("\n".join([header, *votes]) + "\n")
    said = {clip.clip_id: clip.label for clip in load_clips("crema_d", tmp_path, label_target="crowd")}
    assert said == dict(zip(names, ("disgust", "tie", "sad", "unrated"), strict=True))
    assert [clip.label for clip in load_clips("crema_d", tmp_path)] == ["anger", "anger", "happy", "sad"]
    with pytest.raises(ValueError, match=r"one of \('acted', 'crowd'\) for crema_d, got 'mine'"):
        load_clips("crema_d", tmp_path, label_target="mine")


def test_sound_comes_from_the_wav_then_the_mp3_then_the_film(tmp_path):
    a, b, c = "1001_IEO_ANG_HI", "1001_IEO_ANG_LO", "1001_IEO_ANG_MD"
    touch(tmp_path, f"AudioWAV/{a}.wav", f"AudioMP3/{a}.mp3", f"AudioMP3/{b}.mp3", *(f"VideoFlash/{name}.flv" for name in (a, b, c)))
    clips = by_id(load_clips("crema_d", tmp_path))
    assert [clips[name].audio for name in (a, b, c)] == [f"AudioWAV/{a}.wav", f"AudioMP3/{b}.mp3", f"VideoFlash/{c}.flv"]


def test_odd_names(tmp_path):
    touch(tmp_path, "AudioWAV/1040_ITH_SAD_X.wav", "AudioWAV/1040_ITH_SAD_YY.wav", "AudioWAV/1040_XYZ_SAD_XX.wav")
    with pytest.warns(UserWarning, match=r"2 media files: AudioWAV/1040_ITH_SAD_YY\.wav, AudioWAV/1040_XYZ_SAD_XX\.wav"):
        (clip,) = load_clips("crema_d", tmp_path)
    assert (clip.clip_id, clip.audio) == ("1040_ITH_SAD_XX", "AudioWAV/1040_ITH_SAD_X.wav")
    assert crema_d.clip_id("1001_IEO_ANG_HI") == "1001_IEO_ANG_HI" and crema_d.clip_id("1001_IEO_BOR_HI") is None


def test_real_films_decode_though_their_first_stream_is_data(tmp_path):
    (tmp_path / "VideoFlash").mkdir()
    for path in shared_data("crema_d").glob("*.flv"):
        shutil.copy(path, tmp_path / "VideoFlash")
    clips = load_clips("crema_d", tmp_path)
    assert [clip.label for clip in clips] == ["anger", "happy", "neutral"]
    for clip in clips:
        assert clip.audio == clip.video
        info = probe(tmp_path / clip.video)
        assert info.has_audio and info.has_video and (info.width_px, info.height_px) == (480, 360)
        (sound,) = stream_audio(tmp_path / clip.audio, rate_hz=16000)
        assert abs(len(sound) / 16000 - info.duration_s) < 0.5 and np.abs(sound).max() > 0.01
        num_frames = sum(frame.image.shape == (360, 480, 3) for frame in stream_frames(tmp_path / clip.video))
        assert abs(num_frames / info.frame_rate_fps - info.duration_s) < 0.5
