"""All spellings of a name have one identity, and different names have different ones."""

from __future__ import annotations

import pytest

from avemo_jax.identity import clip_identity, identity, joined_spellings, sentence_identity


@pytest.mark.parametrize(
    "spelled",
    [
        ("1", "01", "001", "1.0", "1.", " 1 ", "\u00a01", "\uff11", "1\u200b", "1.00", "1,0", "1,00"),
        ("0", "00", "0.0"),
        ("actor 1", "Actor 01", "ACTOR  1.0"),
        ("s1", "S01"),
        ("jos\u00e9", "JOS\u00c9", "Jose\u0301", "Jos\u00c3\u00a9", "Jos\u00c3\u00a9 "),
        ("\u00e1rp\u00e1d", "\u00c3\u0081rp\u00c3\u00a1d"),
        ("1_f", "1.0_F", "01_f"),
        ("strasse", "Straße"),
        ("3", "٣", "03"),
    ],
)
def test_spellings_of_one_name(spelled):
    assert {identity(name) for name in spelled} == {spelled[0]}


def test_different_names_have_different_identities():
    numbers = ["1", "10", "11", "1.5", "0.5", "0.05", "2.10", "2.1", "1-1", "1-11", "v1.0.1", "v1.1.0", "1.05", "1,05"]
    names = [*numbers, "f1", "m1", "a", "b", "ses01f", "ses01m", "actor_1"]
    assert len({identity(name) for name in names}) == len(names)
    assert identity("") == identity("  ") == ""


def test_spellings_of_one_clip():
    names = ["Actor_01/A.wav", "actor_01\\a.WAV", "./Actor_01//a", "Actor_1/a.flac", "Actor_1.0/a.wav.npy", "file:///actor_01/%41.pkl"]
    assert {clip_identity(name) for name in names} == {"actor_1/a"}
    apart = ["a/1.wav", "b/1.wav", "a/1.5", "a.b/1", "KA.AN1.39", "KA.AN1.40", "1", "100%", "10%", ".wav"]
    assert len({clip_identity(name) for name in apart}) == len(apart)


def test_joined_spellings_are_in_order_of_first_occurrence():
    assert joined_spellings(["01", "2", "1.0", "", "01", "1"]) == (("01", "1.0", "1"),)


def test_spellings_of_one_sentence():
    names = ["Kids are talking by the door.", "kids are  talking, by the door", "\u201cKids are talking by the door!\u201d"]
    assert {sentence_identity(name) for name in names} == {"kids are talking by the door"}
    assert sentence_identity("don\u2019t") == sentence_identity("Don't") == "dont"
    assert len({sentence_identity(name) for name in ("01", "11", "1-1", "1.5", "?", "!")}) == 6
