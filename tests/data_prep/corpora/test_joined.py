"""Corpora joined into one: no two clips and no two people of one name, and a root for each."""

from __future__ import annotations

import pytest
from made_trees import by_id, touch

from avemo_jax.protocols.audit.folds_audit import audit_folds, items_of
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import CorpusNotFound, JoinedCorpus, corpus, load_clips, num_clips_of_owner, savee

ACTORS = range(1, 9)


@pytest.fixture
def roots(tmp_path):
    ravdess = [
        f"Actor_{actor:02}/03-01-{emotion:02}-01-{take:02}-01-{actor:02}.wav" for actor in ACTORS for emotion in (3, 5) for take in (1, 2)
    ]
    touch(tmp_path / "RAV DESS, speech", *ravdess)
    touch(
        tmp_path / "savee",
        *(f"AudioData/{speaker}/{code}{take:02}.wav" for speaker in savee.SPEAKERS for code in "ha" for take in range(1, 12)),
    )
    return f"ravdess={tmp_path}/RAV DESS, speech,savee={tmp_path}/savee"


def test_clips_keep_their_corpus_and_get_its_name_in_front(roots, tmp_path):
    clips = load_clips("ravdess+savee", roots, channel="speech")
    assert len(clips) == 32 + 88 and [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in clips)
    named = by_id(clips)
    one, other = named["ravdess:01-03-01-01-01-01"], named["savee:DC_h01"]
    assert (one.corpus, one.speaker, one.sentence, one.label) == ("ravdess", "ravdess:01", "ravdess:1", "happy")
    assert (other.corpus, other.speaker, other.sentence, other.label) == ("savee", "savee:DC", "savee:h01", "happiness")
    assert one.audio == str(tmp_path / "RAV DESS, speech/Actor_01/03-01-03-01-01-01-01.wav") and one.video is None
    assert all((tmp_path / clip.audio).is_file() for clip in clips)


def test_equal_numbers_of_two_corpora_are_two_clips_and_two_people(tmp_path):
    touch(tmp_path / "rml", "rml-1/s1/an1.avi", "rml-1/s2/an1.avi")
    touch(tmp_path / "enterface", "subject 1/anger/sentence 1/s1_an_1.avi", "subject 2/anger/sentence 1/s2_an_1.avi")
    clips = load_clips("rml+enterface", f"rml={tmp_path}/rml,enterface={tmp_path}/enterface")
    assert len({clip.clip_id for clip in clips}) == 4
    assert {clip.speaker for clip in clips} == {"rml:s1", "rml:s2", "enterface:s1", "enterface:s2"}


def test_folds_go_by_speaker(roots):
    clips = load_clips("ravdess+savee", roots, channel="speech")
    labels = [int(clip.label.startswith("ang")) for clip in clips]
    for protocol, num_folds in (("loso", 12), ("speaker_k", 3)):
        table = make_folds(protocol, clips, labels, num_folds=3)
        assert len(table.folds) == num_folds and table.speaker_independent
        found = audit_folds(table.folds, items_of(clips), each_once=True)
        # RAVDESS has two sentences, SAVEE many that all of its speakers read: neither makes the other's a leak.
        assert {(finding.name, finding.severity) for finding in found if finding.name != "media_not_compared"} == {
            ("sentence_in_two_parts", "info")
        }
    with pytest.raises(
        ValueError, match=r"is for ravdess, and the clips are of ravdess\+savee; protocols for this corpus: loso, cross_corpus, speaker_k"
    ):
        make_folds("luna5", clips, labels)


def test_options_go_to_the_corpora_that_have_them(roots):
    assert corpus("ravdess+savee").OPTIONS == ("channel",)
    with pytest.raises(ValueError, match=r"corpus ravdess\+savee has no option first_frames; it has: channel"):
        load_clips("ravdess+savee", roots, first_frames=True)
    with pytest.raises(CorpusNotFound, match="none of song"):
        load_clips("ravdess+savee", roots, channel="song")


def test_what_is_common_is_offered():
    assert corpus("ravdess+savee").MODALITIES == ("audio", "video", "still")
    assert corpus("savee+tess").MODALITIES == ("audio",)
    assert num_clips_of_owner("savee+tess", {}) == 3280
    assert corpus("jaffe+ck48+cfe").MODALITIES == ("still",) and corpus("jaffe+savee").MODALITIES == ("still",)
    assert num_clips_of_owner("jaffe+ck48+cfe", {}) == 213 + 981 + 1610 and num_clips_of_owner("savee+ravdess", {}) == 1920
    assert corpus("savee+crema_d").LABEL_TARGETS == ("acted",) and corpus("savee+iemocap").LABEL_TARGETS == ("mixed",)
    assert isinstance(corpus("savee+tess"), JoinedCorpus) and corpus("savee") is savee


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ck_plus+ck48", "ck_plus and ck48 cannot be joined: the pictures of ck48 are frames of ck_plus"),
        ("jaffe+ck48+ck_plus", "ck48 and ck_plus cannot be joined"),
        ("savee+savee", "names one twice"),
        ("savee+", "unknown corpus ''"),
        ("savee+saved", r"unknown corpus 'saved'; did you mean 'savee'\?; known: affectnet, cfe, ck48"),
    ],
)
def test_what_cannot_be_joined_is_said(name, message):
    with pytest.raises(ValueError, match=message):
        corpus(name)


@pytest.mark.parametrize(
    ("root", "error", "message"),
    [
        ("ravdess=/a", CorpusNotFound, "no folder for savee; set --config.corpus.root=ravdess=FOLDER,savee=FOLDER; savee: http"),
        ("/a", ValueError, "expected --config.corpus.root=ravdess=FOLDER,savee=FOLDER, each corpus once, got '/a'"),
        ("ravdess=/a,savee=/b,savee=/c", ValueError, "each corpus once"),
        ("ravdess=,savee=/b", ValueError, "each corpus once"),
        ("ravdess=/nowhere,savee=/b", CorpusNotFound, "no ravdess corpus in /nowhere"),
    ],
)
def test_a_root_that_does_not_fit_is_said(root, error, message):
    with pytest.raises(error, match=message):
        load_clips("ravdess+savee", root, channel="speech")


def test_clip_id_finds_the_one_corpus_that_knows_a_name():
    joined = corpus("ravdess+savee")
    assert joined.clip_id("01-01-03-01-01-01-05") == "ravdess:01-03-01-01-01-05"
    assert joined.clip_id("savee:DC_a01") == joined.clip_id("DC_a01") == "savee:DC_a01"
    assert joined.clip_id("nothing") is None and joined.clip_id("savee:nothing") is None
    assert corpus("ravdess+synthetic").clip_id("01-01-03-01-01-01-05") is None  # either's
