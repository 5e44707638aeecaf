"""What media names tell of speaker and sentence by the naming rules of corpora, and that names which only look similar tell nothing."""

from __future__ import annotations

import pytest

from data_prep.corpora.known_names import read_known_names


@pytest.mark.parametrize(
    ("name", "corpus", "speaker", "sentence"),
    [
        ("03-01-05-01-02-01-16.wav", "ravdess", "16", "2"),
        ("Actor_16\\01-01-05-01-02-01-16.mp4", "ravdess", "16", "2"),
        ("1001_DFA_ANG_XX", "crema_d", "1001", "DFA"),
        ("03a01Fa.wav", "emodb", "03", "a01"),
        ("DC_a01.wav", "savee", "DC", "a01"),
        ("AudioData/DC/sa01.wav", "savee", "DC", "sa01"),
        ("OAF_angry/OAF_back_angry.wav", "tess", "OAF", "back"),
        ("Ses01F_impro01_F000.wav", "iemocap", "Ses01F", ""),
        ("Ses05M_script01_1b_F003", "iemocap", "Ses05F", "script01_1"),
        ("s7_an_1.avi", "enterface", "s7", "anger1"),
        ("subject 11/anger/sentence 1/s12_an_1.avi", "enterface", "s11", "anger1"),
        ("s1/an1.avi", "rml", "s1", ""),
        ("rml-1/s3/mandarin/ha2.avi", "rml", "s3", ""),
        ("KA.AN1.39.tiff", "jaffe", "KA", ""),
        ("KA.AN1.39", "jaffe", "KA", ""),
    ],
)
def test_a_name_tells(name, corpus, speaker, sentence):
    clip = read_known_names([name])[name]
    assert (clip.corpus, clip.speaker, clip.sentence) == (corpus, speaker, sentence)


@pytest.mark.parametrize(
    "name", ["a01.wav", "s1_angle_2", "03-01-05-01-02-01.wav", "1001_XYZ_ANG_XX", "04a01Fa", "Ses01F_walk_F000", "s1/antenna.avi", "x", ""]
)
def test_a_name_that_looks_similar_tells_nothing(name):
    assert read_known_names([name]) == {}


def test_nearly_all_names_of_a_list_must_be_known():
    known = [f"03-01-05-01-02-01-{actor:02d}.wav" for actor in range(1, 10)]
    assert len(read_known_names([*known, "noise.wav"])) == 9
    assert read_known_names([*known, "noise.wav", "more.wav"]) == {}
    assert read_known_names([]) == {}


def test_a_list_of_two_corpora():
    names = [f"03-01-05-01-02-01-{actor:02d}.wav" for actor in range(1, 11)] + ["03a01Fa.wav", "08a01Fa.wav"]
    assert {clip.corpus for clip in read_known_names(names).values()} == {"ravdess", "emodb"}
