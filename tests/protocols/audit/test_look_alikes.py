"""Names that are probably one speaker, clip or corpus are returned as pairs; names of different ones are not."""

from __future__ import annotations

import pytest

from avemo_jax.identity import clip_identity, identity
from avemo_jax.protocols.audit.look_alikes import clip_look_alikes, look_alikes, look_alikes_in_corpora, may_be_one_corpus


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("actor_01", "Actor1"),
        ("spk-3", "3"),
        ("Speaker 3", "spk03"),
        ("Maria", "maria_2"),
        ("luna07", "7"),
        ("12F", "12"),
        ("José", "jose"),
        ("anna-lena", "Anna Lena"),
        ("subject_id_4", "S4"),
        ("Spk 1", "spk_01"),
        ("S01", "1.0"),
        ("#1", "1"),
        ("actor\u201301", "actor-1"),
        ("P01", "1"),
        ("user_1", "client_1"),
        ("actor_01_f", "actor 1"),
        ("S1", "S01F"),
        ("M\u00fcller", "Mueller"),
        ("M\u00fcller", "Muller"),
        ("S\u00f8ren", "soren"),
        ("\u0430nna", "anna"),  # a Cyrillic letter
        ("Doe, John", "John Doe"),
        ("Jos\ufffd", "Jos\u00e9"),
        ("Jos??", "Jos\u00e9"),
    ],
)
def test_names_that_look_like_one_speaker(first, second):
    (pair,) = look_alikes([identity(first), identity(second), "anna", "bert"])
    assert set(pair) == {identity(first), identity(second)}


@pytest.mark.parametrize(
    "names",
    [
        [f"{letter}{number}" for letter in "FM" for number in range(1, 30)],
        [f"Ses0{session}{letter}" for session in range(1, 6) for letter in "FM"],
        [f"maria_{number}" for number in range(12)],
        ["DC", "JE", "JK", "KL", "KA", "KM", "OAF", "YAF", "actor", "speaker", "person"],
        [f"{session}-{speaker}" for session in range(1, 13) for speaker in range(1, 13)] + [str(number) for number in range(100, 130)],
        [f"id{number:05d}" for number in range(10270, 10310)],
        [f"{number:04x}{number * 7919 % 65536:04x}" for number in range(300)],
        [str(number) for number in range(1, 25)],
        [f"{letter}{number:02d}" for letter in ("F", "M") for number in range(1, 13)] + ["f_13", "m_14"],
        ["\u0410\u043d\u043d\u0430", "\u041e\u043b\u044c\u0433\u0430", "\u5f20\u4f1f", "\u738b\u82b3", "J\u00fcrgen", "Jens", "J?"],
        ["john doe", "john", "jane doe", "doe", "mary ann lee", "ann lee"],
    ],
)
def test_names_of_different_speakers_do_not_look_alike(names):
    assert look_alikes(map(identity, names)) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a", "x/a"),
        ("y/b", "z/y/b"),
        ("/data/r/x.wav", "x.wav"),
        ("../d/x.wav", "d\\x"),
        ("DC/a01.wav", "DC_a01.wav"),
        ("a-01", "a_1"),
        ("x.wav", "x (1).wav"),
        ("d/x.wav", "d/x - Copy.wav"),
        ("x.wav", "Copy of x.wav"),
        ("x.wav", "x - Kopie (2).wav"),
        ("x.wav", "X_copy2.wav"),
    ],
)
def test_names_that_look_like_one_clip(first, second):
    (pair,) = clip_look_alikes(map(clip_identity, [first, second, "other", "e/other2"]))
    assert set(pair) == {clip_identity(first), clip_identity(second)}


@pytest.mark.parametrize(
    "names",
    [
        ["train/a", "test/a"],
        ["xa", "a"],
        ["x (1)", "x (2)"],
        [f"03-01-0{emotion}-01-01-0{take}-{actor:02d}" for emotion in range(1, 9) for take in (1, 2) for actor in range(1, 25)],
        ["1/11", "11/1", "1-1/1"],
        ["copy", "photocopy", "x"],
    ],
)
def test_names_of_different_clips_do_not_look_alike(names):
    assert clip_look_alikes(map(clip_identity, names)) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [("CREMA-D", "cremad"), ("EMO-DB", "EmoDB"), ("CK+", "ckplus"), ("RAVDESS", "ravdess_song"), ("Berlin EmoDB", "emodb"), ("savee", "")],
)
def test_corpora_that_may_be_one(first, second):
    first, second = identity(first), identity(second)
    assert may_be_one_corpus(first, second) and may_be_one_corpus(second, first)
    assert look_alikes_in_corpora([(first, "3", f"{first} 3"), (second, "3", f"{second} 3"), ("tess", "9", "tess 9")])


@pytest.mark.parametrize(("first", "second"), [("emodb", "savee"), ("ravdess", "rml"), ("jaffe", "fer2013"), ("tess", "enterface")])
def test_corpora_that_are_two(first, second):
    assert not may_be_one_corpus(first, second)
    assert look_alikes_in_corpora([(first, "3", f"{first} 3"), (second, "3", f"{second} 3")]) == []
