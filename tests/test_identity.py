"""All spellings of a name have one identity, different names have different ones, and similar names are returned as pairs."""

from __future__ import annotations

import pytest

from avemo_jax.identity import clip_identity, folders_differ, identity, joined_spellings, look_alikes


@pytest.mark.parametrize(
    "spelled",
    [
        ("1", "01", "001", "1.0", "1.", " 1 ", "\u00a01", "\uff11", "1\u200b", "1.00"),
        ("0", "00", "0.0"),
        ("actor 1", "Actor 01", "ACTOR  1.0"),
        ("s1", "S01"),
        ("jos\u00e9", "JOS\u00c9", "Jose\u0301"),
        ("strasse", "Straße"),
        ("3", "٣", "03"),
    ],
)
def test_spellings_of_one_name(spelled):
    assert {identity(name) for name in spelled} == {spelled[0]}


def test_different_names_have_different_identities():
    numbers = ["1", "10", "11", "1.5", "0.5", "0.05", "2.10", "2.1", "1-1", "1-11", "v1.0.1"]
    names = [*numbers, "f1", "m1", "a", "b", "ses01f", "ses01m", "actor_1"]
    assert len({identity(name) for name in names}) == len(names)
    assert identity("") == identity("  ") == ""


def test_spellings_of_one_clip():
    names = ["Actor_01/A.wav", "actor_01\\a.WAV", "./Actor_01//a", "Actor_1/a.flac"]
    assert {clip_identity(name) for name in names} == {"actor_1/a"}
    apart = ["a/1.wav", "b/1.wav", "a/1.5", "a.b/1", "KA.AN1.39", "KA.AN1.40", "1"]
    assert len({clip_identity(name) for name in apart}) == len(apart)


def test_joined_spellings_are_in_order_of_first_occurrence():
    assert joined_spellings(["01", "2", "1.0", "", "01", "1"]) == (("01", "1.0", "1"),)


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
    ],
)
def test_names_of_different_speakers_do_not_look_alike(names):
    assert look_alikes(map(identity, names)) == []


def test_a_clip_with_and_without_its_folders():
    assert folders_differ(["a", "x/a", "y/b", "z/y/b", "xa"]) == [("a", "x/a"), ("y/b", "z/y/b")]
    assert folders_differ(["train/a", "test/a"]) == []
