"""The page of `--mode=explore`: counts and medians by hand, odd clips counted, clips.csv, and text of files escaped."""

from __future__ import annotations

import csv

from html_page import Page

from avemo_jax.clip_measures import ClipMeasures
from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.modes.explore import write_exploration
from avemo_jax.reporting.exploration import NUM_LISTED, clips_to_show

CLIPS = [
    Clip("a1", "made", "anger", "1", audio="a1.wav", gender="female"),
    Clip("a2", "made", "ang", "1", audio="a2.wav", gender="female"),
    Clip("b1", "made", "sad", "2", audio="b1.wav", gender="male"),
    Clip("<i>b2", "made", "sad", "", audio="b2.wav"),
]
MEASURES = {
    "a1": ClipMeasures(sound_s=1.0, peak_db=-3.0, level_db=-20.0, snr_db=30.0, clipped_share=0.0, picture=b"\xff\xd8jpeg"),
    "a2": ClipMeasures(sound_s=2.0, peak_db=0.0, level_db=-10.0, snr_db=40.0, clipped_share=0.02),
    "b1": ClipMeasures(sound_s=3.0, peak_db=-70.0, level_db=-80.0, snr_db=5.0, clipped_share=0.0, num_searched=4, num_with_face=0),
    "<i>b2": ClipMeasures(damage="truncated: <i>b2.wav: half"),
}
PAIRS = (SharedMedia("a2", "b1", "sound", "equal"),)


def rows_of(path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_tables_by_hand(tmp_path, capsys):
    page = write_exploration("made", CLIPS, MEASURES, PAIRS, {"<i>b2": "damaged"}, tmp_path)
    angry, sad = rows_of(tmp_path / "tables" / "emotions.csv")
    assert (angry["emotion"], angry["clips"], angry["share, %"], angry["speakers"], angry["female"], angry["male"]) == (
        *("angry", "2", "50.0", "1", "2", "-"),
    )
    assert (angry["length, s"], angry["level, dB"], angry["SNR, dB"], angry["with face, %"]) == ("1.5", "-15.0", "35.0", "-")
    assert (sad["speakers"], sad["length, s"], sad["with face, %"]) == ("1", "3.0", "0.0")
    assert [(row["speaker"], row["gender"], row["angry"], row["sad"]) for row in rows_of(tmp_path / "tables" / "speakers.csv")] == [
        ("(unknown)", "-", "-", "1"),
        ("1", "female", "2", "-"),
        ("2", "male", "-", "1"),
    ]
    odd = {(row["what"], row["clip"]): row["detail"] for row in rows_of(tmp_path / "tables" / "odd.csv")}
    assert odd == {
        ("damaged", "<i>b2"): "truncated: <i>b2.wav: half",
        ("silent", "b1"): "peak -70 dB",
        ("clipped", "a2"): "2.00% of the samples",
        ("no face", "b1"): "in 4 searched frames",
    }
    assert rows_of(tmp_path / "tables" / "pairs.csv") == [
        {"clip": "a2", "other clip": "b1", "what is the same": "sound", "labels": "ang and sad"}
    ]
    rows = rows_of(tmp_path / "clips.csv")
    assert [row["emotion"] for row in rows] == ["angry", "angry", "sad", "sad"] and rows[3]["sound_s"] == "" and rows[1]["snr_db"] == "40.0"
    text = page.read_text()
    Page(text).check_needs_nothing_else()
    assert "<i>b2" not in text and "data:image/jpeg;base64,/9hqcGVn" in text
    assert "made: 4 clips of 2 speakers, 2 emotions, 6.0 s of sound; 1 damaged." in capsys.readouterr().out


def test_many_odd_clips_are_counted(tmp_path):
    clips = [Clip(f"c{number:02}", "made", "sad", "1", audio="x.wav") for number in range(30)]
    measures = {clip.clip_id: ClipMeasures(damage="missing: x.wav") for clip in clips}
    write_exploration("made", clips, measures, (), {}, tmp_path)
    rows = rows_of(tmp_path / "tables" / "odd.csv")
    assert len(rows) == NUM_LISTED + 1 and rows[-1] == {"what": "damaged", "clip": "and 10 more", "detail": "clips.csv has all"}


def test_the_contact_sheet_shows_several_speakers_of_each_emotion():
    clips = [Clip(f"{emotion}{n:02}", "made", emotion, str(n // 4), audio="x.wav") for emotion in ("sad", "happy") for n in range(40)]
    shown = clips_to_show(clips)
    assert shown == [f"{emotion}{n:02}" for emotion in ("happy", "sad") for n in range(0, 24, 4)]
    two = [Clip(f"c{n}", "made", "sad", str(n % 2), audio="x.wav") for n in range(8)]
    assert clips_to_show(two) == ["c0", "c1", "c2", "c3", "c4", "c5"]
