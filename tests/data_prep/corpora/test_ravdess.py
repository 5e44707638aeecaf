"""RAVDESS in all the layouts it is found in, with the traps of real copies."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
from shared_data import shared_data

from data_prep.corpora import CorpusNotFound, load_clips, ravdess


def touch(root: Path, *names: str) -> Path:
    """Write a tiny wav at each name, whatever its suffix: readers of layouts open nothing."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as stream:
            stream.setnchannels(1)
            stream.setsampwidth(2)
            stream.setframerate(8000)
            stream.writeframes(b"\0\0" * 8)
    return root


@pytest.mark.parametrize(
    "folder",
    ["Actor_05/", "Audio_Speech_Actors_01-24/Actor_05/", "", "deep/er/still/"],
    ids=["actors", "archive", "flat", "deep"],
)
def test_every_nesting_gives_the_same_clip(tmp_path, folder):
    touch(tmp_path, f"{folder}03-01-06-02-01-02-05.wav")
    (clip,) = load_clips("ravdess", tmp_path, channel="speech")
    assert clip.clip_id == "01-06-02-01-02-05"
    assert (clip.corpus, clip.label, clip.speaker, clip.gender, clip.sentence) == ("ravdess", "fearful", "05", "male", "1")
    assert (clip.audio, clip.video) == (f"{folder}03-01-06-02-01-02-05.wav", None)
    assert clip.attributes == {"channel": "speech", "intensity": "strong", "repetition": "2"}


def test_archives_of_both_media_join_to_one_clip_a_performance(tmp_path):
    name = "01-08-01-02-01-06"
    touch(
        tmp_path,
        f"Video_Speech_Actor_06/Actor_06/01-{name}.mp4",
        f"Video_Speech_Actor_06/Actor_06/02-{name}.mp4",
        f"Audio_Speech_Actors_01-24/Actor_06/03-{name}.wav",
    )
    (clip,) = load_clips("ravdess", tmp_path)
    assert clip.audio == f"Audio_Speech_Actors_01-24/Actor_06/03-{name}.wav"
    assert clip.video == f"Video_Speech_Actor_06/Actor_06/01-{name}.mp4"
    assert (clip.label, clip.gender, clip.sentence) == ("surprised", "female", "2")


@pytest.mark.parametrize(
    ("modality", "has_audio", "has_video"),
    [("01", True, True), ("02", False, True)],
)
def test_a_film_alone_gives_its_sound_too_where_it_has_one(tmp_path, modality, has_audio, has_video):
    name = f"{modality}-01-01-01-01-01-01.mp4"
    touch(tmp_path, name)
    (clip,) = load_clips("ravdess", tmp_path)
    assert (clip.audio, clip.video) == (name if has_audio else None, name if has_video else None)


def test_the_wav_of_one_performance_does_not_hide_the_film_of_another(tmp_path):
    touch(tmp_path, "03-01-01-01-01-01-01.wav", "01-01-02-01-01-01-01.mp4")
    neutral, calm = load_clips("ravdess", tmp_path)
    assert (neutral.label, neutral.audio, neutral.video) == ("neutral", "03-01-01-01-01-01-01.wav", None)
    assert (calm.label, calm.audio, calm.video) == ("calm", "01-01-02-01-01-01-01.mp4", "01-01-02-01-01-01-01.mp4")


def test_channels(tmp_path):
    touch(tmp_path, "Video_Song_Actor_01/Actor_01/01-02-03-01-02-01-01.mp4", "Video_Speech_Actor_01/Actor_01/01-01-03-01-02-01-01.mp4")
    assert [(clip.clip_id, clip.sentence) for clip in load_clips("ravdess", tmp_path)] == [("01-03-01-02-01-01", "2")]
    assert [(clip.clip_id, clip.sentence) for clip in load_clips("ravdess", tmp_path, channel="song")] == [("02-03-01-02-01-01", "2")]
    assert [(clip.clip_id, clip.sentence) for clip in load_clips("ravdess", tmp_path, channel="all")] == [
        ("01-03-01-02-01-01", "speech2"),
        ("02-03-01-02-01-01", "song2"),
    ]
    with pytest.raises(ValueError, match=r"speech, song or all, got 'sing'.*--config\.corpus\.channel="):
        load_clips("ravdess", tmp_path, channel="sing")


def test_all_labels_speakers_and_their_order(tmp_path):
    names = [f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav" for actor in (24, 1) for emotion in range(8, 0, -1)]
    clips = load_clips("ravdess", touch(tmp_path, *names))
    assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in clips)
    labels = [clip.label for clip in clips if clip.speaker == "24"]
    assert labels == ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
    assert {(clip.speaker, clip.gender) for clip in clips} == {("01", "male"), ("24", "female")}


def test_a_corpus_that_is_there_twice_is_read_once_with_a_warning(tmp_path):
    name = "03-01-05-01-01-01-03.wav"
    touch(tmp_path, f"audio_speech_actors_01-24/Actor_03/{name}", f"Actor_03/{name}")
    with pytest.warns(UserWarning, match=r"second copies.*1 files: audio_speech_actors_01-24/Actor_03/03-01-05-01-01-01-03\.wav"):
        (clip,) = load_clips("ravdess", tmp_path)
    assert clip.audio == f"Actor_03/{name}"


def test_names_that_do_not_parse_are_named_and_hidden_files_are_not_media(tmp_path):
    touch(
        tmp_path, "03-01-05-01-01-01-03.wav", "._03-01-05-01-01-01-03.wav", "03-01-09-01-01-01-03.wav", "x.mp4", "03-01-05-01-01-01-04.mp4"
    )
    (tmp_path / "readme.txt").write_text("not media")
    with pytest.warns(UserWarning, match=r"3 media files: 03-01-05-01-01-01-04\.mp4, 03-01-09-01-01-01-03\.wav, x\.mp4"):
        (clip,) = load_clips("ravdess", tmp_path)
    assert clip.speaker == "03"


def test_clip_id_joins_films_wavs_and_table_rows():
    assert ravdess.clip_id("01-01-03-01-01-01-05") == ravdess.clip_id("03-01-03-01-01-01-05") == "01-03-01-01-01-05"
    assert ravdess.clip_id("01-03-01-01-01-05") == "01-03-01-01-01-05"
    assert ravdess.clip_id("04-01-03-01-01-01-05") is None
    assert ravdess.clip_id("OAF_back_angry") is None


@pytest.mark.parametrize("case", ["absent", "file", "empty", "other"])
def test_a_missing_corpus_says_what_where_and_whom_to_ask(tmp_path, case):
    root = tmp_path / "RAVDESS"
    if case == "file":
        root.write_text("")
    elif case != "absent":
        root.mkdir()
    if case == "other":
        (root / "Session1").mkdir()
        (root / "README.txt").write_text("")
    found = {"absent": "no such path", "file": "a file of 0 bytes", "empty": "an empty folder", "other": "2 entries: README.txt, Session1/"}
    with pytest.raises(CorpusNotFound) as error:
        load_clips("ravdess", root)
    for part in (str(root), "MM-VC-EE-II-SS-RR-AA.mp4", found[case], "https://zenodo.org/records/1188976", "--config.corpus.root="):
        assert part in str(error.value)


def test_a_corpus_without_the_channel_says_so(tmp_path):
    touch(tmp_path, "03-01-05-01-01-01-03.wav")
    with pytest.raises(CorpusNotFound, match="1 performances of the other channel, none of song"):
        load_clips("ravdess", tmp_path, channel="song")


def test_the_real_speech_corpus_has_its_counts():
    clips = load_clips("ravdess", shared_data("ravdess"))
    assert len(clips) == 1440
    assert {clip.speaker for clip in clips} == {f"{actor:02d}" for actor in range(1, 25)}
    counts = {label: sum(clip.label == label for clip in clips) for label in ravdess.EMOTIONS.values()}
    assert counts == {label: 96 if label == "neutral" else 192 for label in counts}
    assert {clip.attributes["intensity"] for clip in clips if clip.label == "neutral"} == {"normal"}
