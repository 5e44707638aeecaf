"""IEMOCAP in its owner's layout: label files with all that is not a label, spans, halves, scripts."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
from made_trees import by_id

from avemo_jax.clips import Clip, read_clips, write_clips
from data_prep.corpora import CorpusNotFound, iemocap, load_clips

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
IMPRO = (
    HEADER
    + """[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()
A-F1:\tval 3; act 2; dom  1;\t(calm, [sic] )

[10.0100 - 11.3925]\tSes01F_impro01_M001\txxx\t[2.0000, 3.5000, 3.0000]
C-E2:\tFrustration; Anger;\t()
C-M1:\tOther;\t(caf\xe9)

"""
)
SCRIPT = HEADER + "[21.2500 - 24.7300]\tSes01M_script01_1b_F015\texc\t[4.5000, 4.0000, 3.0000]\nA-E3:\tval 3; act 2; dom  2;\t()\n"
LABELS = {
    "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": IMPRO,
    "Session1/dialog/EmoEvaluation/Ses01M_script01_1b.txt": SCRIPT,
    # Neither the hidden files of macOS nor the annotators' own folders are label files.
    "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt": "\0\0[1.0000 - 2.0000]\tSes01F_impro09_F000\tneu\t[2.5000, 2.5000, 2.5000]\n",
    "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt": "Ses01F_impro01_F000 :Neutral; ()\n",
    **{
        f"Session{session}/dialog/EmoEvaluation/Ses0{session}F_impro05a.txt": HEADER
        + f"[0.5000 - 3.0000]\tSes0{session}F_impro05a_M000\tsad\t[1.0000, 1.5000, 2.0000]\n"
        for session in range(2, 6)
    },
}
MEDIA = (
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M001.wav",
    "Session1/sentences/wav/Ses01M_script01_1b/Ses01M_script01_1b_F015.wav",
    "Session1/dialog/avi/DivX/Ses01F_impro01.avi",
    "Session1/dialog/avi/DivX/Ses01M_script01_1b.avi",
    *(f"Session{session}/sentences/wav/Ses0{session}F_impro05a/Ses0{session}F_impro05a_M000.wav" for session in range(2, 6)),
    *(f"Session{session}/dialog/avi/DivX/Ses0{session}F_impro05a.avi" for session in range(2, 6)),
)


def make_tree(root: Path, *, labels=LABELS, media=MEDIA) -> Path:
    for name, text in labels.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    for name in media:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as stream:
            stream.setnchannels(1)
            stream.setsampwidth(2)
            stream.setframerate(16000)
            stream.writeframes(b"\0\0" * 16)
    return root


def test_label_lines_and_nothing_else_make_clips(tmp_path):
    clips = load_clips("iemocap", make_tree(tmp_path))
    assert {clip.clip_id: clip.label for clip in clips} == {
        "Ses01F_impro01_F000": "neu",
        "Ses01F_impro01_M001": "xxx",
        "Ses01M_script01_1b_F015": "exc",
        **{f"Ses0{session}F_impro05a_M000": "sad" for session in range(2, 6)},
    }
    assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in clips)


def test_an_improvised_utterance(tmp_path):
    clip = by_id(load_clips("iemocap", make_tree(tmp_path)))["Ses01F_impro01_F000"]
    assert clip == Clip(
        clip_id="Ses01F_impro01_F000",
        corpus="iemocap",
        label="neu",
        speaker="Ses01F",
        audio="Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
        video="Session1/dialog/avi/DivX/Ses01F_impro01.avi",
        video_start_s=6.2901,
        video_end_s=8.2357,
        video_region="left",
        gender="female",
        session="1",
        sentence="",
        attributes={"valence": "2.5", "arousal": "2.5", "dominance": "2.5"},
    )


def test_speaker_is_the_letter_before_the_number_and_the_other_actor_is_in_the_other_half(tmp_path):
    clips = by_id(load_clips("iemocap", make_tree(tmp_path)))
    assert [(c.speaker, c.gender, c.video_region) for c in (clips["Ses01F_impro01_M001"], clips["Ses01M_script01_1b_F015"])] == [
        ("Ses01M", "male", "right"),
        ("Ses01F", "female", "right"),
    ]
    assert {clip.speaker for clip in clips.values()} == {"Ses01F", "Ses01M", "Ses02M", "Ses03M", "Ses04M", "Ses05M"}
    assert {clip.session for clip in clips.values()} == set("12345")


def test_the_script_is_the_sentence(tmp_path):
    clips = by_id(load_clips("iemocap", make_tree(tmp_path)))
    assert clips["Ses01M_script01_1b_F015"].sentence == "script01_1"
    assert clips["Ses02F_impro05a_M000"].sentence == ""


def test_the_span_is_the_film_s_and_not_the_wav_s(tmp_path):
    clip = by_id(load_clips("iemocap", make_tree(tmp_path)))["Ses01F_impro01_F000"]
    assert clip.audio_span_s == (None, None)
    assert clip.video_span_s == (6.2901, 8.2357)


def test_clips_survive_a_file(tmp_path):
    clips = load_clips("iemocap", make_tree(tmp_path / "corpus"))
    write_clips(tmp_path / "clips.csv", clips)
    assert read_clips(tmp_path / "clips.csv") == clips


def test_one_span_holds_for_both_media_where_there_is_one():
    clip = Clip("a", "c", "neu", "s", audio="a.mp4", video="a.mp4", start_s=1.0, end_s=2.0)
    assert clip.video_span_s == clip.audio_span_s == (1.0, 2.0)
    with pytest.raises(ValueError, match=r"clip a: expected 0 <= video_start_s < video_end_s, got 2\.0 and 1\.0"):
        Clip("a", "c", "neu", "s", video_start_s=2.0, video_end_s=1.0)


def test_the_folder_above_will_do(tmp_path):
    make_tree(tmp_path / "IEMOCAP_full_release")
    clips = load_clips("iemocap", tmp_path)
    assert clips[0].audio == "IEMOCAP_full_release/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    assert (tmp_path / clips[0].audio).is_file()


def test_absent_media_are_said_and_the_clip_is_kept(tmp_path):
    make_tree(tmp_path, media=tuple(name for name in MEDIA if not name.endswith(("impro01_M001.wav", ".avi"))))
    with pytest.warns(UserWarning) as raised:
        clips = load_clips("iemocap", tmp_path)
    assert len(clips) == 7
    assert by_id(clips)["Ses01F_impro01_M001"].audio is None
    messages = sorted(str(warning.message).removeprefix(f"{tmp_path}: ") for warning in raised)
    assert messages[0] == "no audio file for 1 labelled utterances: Ses01F_impro01_M001"
    assert messages[1].startswith("no video file for 7 labelled utterances: ")


def test_a_line_that_should_be_a_label_and_does_not_read_is_named(tmp_path):
    broken = {"Session5/dialog/EmoEvaluation/Ses05M_impro01.txt": HEADER + "[1.0000 - 2.0000] Ses05M_impro01_F000 neu\n"}
    make_tree(tmp_path, labels=LABELS | broken)
    with pytest.warns(UserWarning, match=r"Session5: ignored.*1 lines: Ses05M_impro01\.txt:3"):
        assert len(load_clips("iemocap", tmp_path)) == 7


def test_missing_sessions_are_said(tmp_path):
    make_tree(tmp_path, labels={name: text for name, text in LABELS.items() if "Session1" in name})
    for session in range(2, 6):
        (tmp_path / f"Session{session}").rename(tmp_path / f"Elsewhere{session}")
    with pytest.warns(UserWarning, match=r"only 1 of the 5 sessions are there \(Session1\)"):
        assert len(load_clips("iemocap", tmp_path)) == 3


def test_a_missing_corpus_says_what_where_and_whom_to_ask(tmp_path):
    (tmp_path / "Actor_01").mkdir()
    with pytest.raises(CorpusNotFound) as error:
        load_clips("iemocap", tmp_path)
    for part in (str(tmp_path), "dialog/EmoEvaluation", "1 entries: Actor_01/", "https://sail.usc.edu/iemocap", "--config.corpus.root="):
        assert part in str(error.value)


def test_clip_id_is_the_utterance():
    assert iemocap.clip_id("Ses05M_script03_2_M041") == "Ses05M_script03_2_M041"
    assert iemocap.clip_id("Ses01F_impro01") is None
    assert iemocap.clip_id("03-01-01-01-01-01-01") is None
