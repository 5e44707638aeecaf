from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from avemo_jax.clips import Clip
from avemo_jax.protocols.folds import PARTS, Fold, FoldTable, LeakError, check_folds
from avemo_jax.protocols.rules import make_folds, protocol_names


def ravdess() -> list[Clip]:
    """Return 24 actors x 60 clips in the owner's naming; neutral has one intensity."""
    return [
        Clip(
            clip_id=f"03-01-{emotion:02}-{intensity:02}-{sentence:02}-{take:02}-{actor:02}",
            corpus="ravdess",
            label=str(emotion),
            speaker=f"{actor:02}",
            gender="male" if actor % 2 else "female",
            sentence=f"{sentence:02}",
        )
        for actor in range(1, 25)
        for emotion in range(1, 9)
        for intensity in ((1,) if emotion == 1 else (1, 2))
        for sentence in (1, 2)
        for take in (1, 2)
    ]


def iemocap() -> list[Clip]:
    return [
        Clip(
            clip_id=f"Ses{session:02}{gender}_impro01_{index:03}",
            corpus="iemocap",
            label=("neu", "hap", "sad", "ang")[index % 4],
            speaker=f"Ses{session:02}{gender}",
            session=f"Session{session}",
            gender="female" if gender == "F" else "male",
        )
        for session in range(1, 6)
        for gender in "FM"
        for index in range(20 + session)
    ]


def tess(num_words: int = 20) -> list[Clip]:
    return [
        Clip(f"{speaker}_word{word:02}_{emotion}", "tess", emotion, speaker, gender="female", sentence=f"word{word:02}")
        for speaker in ("OAF", "YAF")
        for word in range(num_words)
        for emotion in ("sad", "ps", "fear")
    ]


def speakers_only(*speakers: str, corpus: str = "other", gender: str = "male") -> list[Clip]:
    return [Clip(f"{speaker}-{index}", corpus, "happy", speaker, gender=gender) for speaker in speakers for index in range(4)]


def labels_of(clips: list[Clip]) -> list[int]:
    words = sorted({clip.label for clip in clips})
    return [words.index(clip.label) for clip in clips]


def table_of(name: str, clips: list[Clip], **options) -> FoldTable:
    return make_folds(name, clips, labels_of(clips), **options)


def speakers(ids: tuple[str, ...], clips: list[Clip]) -> set[str]:
    speaker_of = {clip.clip_id: clip.speaker for clip in clips}
    return {speaker_of[clip_id] for clip_id in ids}


def sizes(table: FoldTable) -> list[tuple[int, int, int]]:
    return [(len(fold.train), len(fold.validation), len(fold.test)) for fold in table.folds]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("luna5", [(1020, 120, 300)] * 4 + [(1080, 120, 240)]),
        ("luna5_text", [(510, 60, 150)] * 8 + [(540, 60, 120)] * 2),
        ("seq6", [(1080, 120, 240)] * 6),
        ("emobox6", [(1080, 120, 240)] * 6),
        ("loso", [(1260, 120, 60)] * 24),
        ("audeering", [(960, 240, 240)]),
        ("random10", [(1152, 144, 144)] * 10),
        ("random_k", [(864, 288, 288)] * 5),
        ("holdout_50_25_25", [(720, 360, 360)]),
        ("holdout_80_20", [(1008, 144, 288)]),
    ],
)
def test_sizes_on_ravdess(name, expected):
    assert sizes(table_of(name, ravdess())) == expected


def test_luna5_has_the_published_actors():
    clips = ravdess()
    folds = table_of("luna5", clips).folds
    assert [speakers(fold.test, clips) for fold in folds] == [
        {"02", "05", "14", "15", "16"},
        {"03", "06", "07", "13", "18"},
        {"10", "11", "12", "19", "20"},
        {"08", "17", "21", "23", "24"},
        {"01", "04", "09", "22"},
    ]
    assert [speakers(fold.validation, clips) for fold in folds] == [{"03", "06"}, {"10", "11"}, {"08", "17"}, {"01", "14"}, {"02", "05"}]


def test_luna5_text_shares_neither_actors_nor_sentences_with_the_test_part():
    clips = ravdess()
    by_id = {clip.clip_id: clip for clip in clips}
    crossed, plain = table_of("luna5_text", clips), table_of("luna5", clips)
    assert crossed.speaker_independent and crossed.implies == ()
    for number, fold in enumerate(crossed.folds):
        tested, seen = ([by_id[one] for one in ids] for ids in (fold.test, fold.train + fold.validation))
        assert {clip.speaker for clip in tested} == speakers(plain.folds[number // 2].test, clips)
        assert {clip.speaker for clip in tested}.isdisjoint(clip.speaker for clip in seen)
        assert [{clip.sentence for clip in part} for part in (tested, seen)] == [[{"01"}, {"02"}], [{"02"}, {"01"}]][number % 2]
    lacking = dataclasses.replace(crossed.folds[0], train=crossed.folds[0].train[1:])
    with pytest.raises(LeakError, match="fold01: clips in no part: "):
        check_folds(dataclasses.replace(crossed, folds=(lacking, *crossed.folds[1:])), clips)
    moved = dataclasses.replace(crossed.folds[0], train=crossed.folds[0].train + crossed.folds[1].train[:1])
    with pytest.raises(LeakError, match="sentences in both the train and the test part: 01"):
        check_folds(dataclasses.replace(crossed, folds=(moved, *crossed.folds[1:])), clips)


def test_emobox6_seq6_and_audeering_have_the_published_actors():
    clips = ravdess()

    def tested(name):
        return [sorted(map(int, speakers(fold.test, clips))) for fold in table_of(name, clips).folds]

    assert tested("emobox6") == [[1, 11, 20, 21], [4, 10, 12, 14], [8, 9, 19, 23], [3, 5, 7, 24], [2, 15, 16, 18], [6, 13, 17, 22]]
    assert tested("seq6") == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [17, 18, 19, 20], [21, 22, 23, 24]]
    fold = table_of("audeering", clips).folds[0]
    assert sorted(map(int, speakers(fold.train, clips))) == [*range(1, 16), 18]
    assert sorted(map(int, speakers(fold.validation, clips))) == [16, 17, 19, 20] and tested("audeering") == [[21, 22, 23, 24]]


def test_validation_of_emobox6_is_one_of_each_gender_of_the_next_group_or_two():
    clips = ravdess()
    validation = [speakers(fold.validation, clips) for fold in table_of("emobox6", clips).folds]
    assert validation == [{"04", "10"}, {"08", "09"}, {"03", "24"}, {"02", "15"}, {"06", "13"}, {"01", "20"}]


def test_loso_validates_on_the_next_speaker_of_each_gender():
    clips = ravdess()
    fold = table_of("loso", clips).folds[22]
    assert fold.name == "speaker_23"
    assert speakers(fold.test, clips) == {"23"}
    assert speakers(fold.validation, clips) == {"24", "01"}


def test_loso_of_few_speakers_of_one_gender_leaves_speakers_for_training():
    clips = speakers_only("DC", "JE", "JK", "KL")
    fold = table_of("loso", clips).folds[3]
    assert (speakers(fold.test, clips), speakers(fold.validation, clips), speakers(fold.train, clips)) == ({"KL"}, {"DC"}, {"JE", "JK"})
    with pytest.raises(ValueError, match="at least 3 speakers"):
        table_of("loso", speakers_only("OAF", "YAF"))


def test_sessions_of_iemocap():
    clips = iemocap()
    table = table_of("session5", clips)
    assert table.speaker_independent
    assert [len(fold.test) for fold in table.folds] == [42, 44, 46, 48, 50]
    assert speakers(table.folds[4].test, clips) == {"Ses05F", "Ses05M"}
    assert speakers(table.folds[4].validation, clips) == {"Ses01F", "Ses01M"}


def test_cross_speaker2_tests_the_other_speaker_and_validates_on_held_out_words():
    clips = tess()
    sentence_of = {clip.clip_id: clip.sentence for clip in clips}
    table = table_of("cross_speaker2", clips)
    assert (table.speaker_independent, table.groups_by, table.validation_by, table.each_clip_once) == (True, "speaker", "sentence", True)
    assert sizes(table) == [(48, 12, 60)] * 2
    assert "validation is every fifth sentence of the training speakers (4 held out)" in table.note
    for fold, tested, trained in zip(table.folds, ("OAF", "YAF"), ("YAF", "OAF"), strict=True):
        assert speakers(fold.test, clips) == {tested}
        assert speakers(fold.train, clips) == speakers(fold.validation, clips) == {trained}
        held_out = {sentence_of[clip_id] for clip_id in fold.validation}
        assert held_out == {"word04", "word09", "word14", "word19"} and not held_out & {sentence_of[clip_id] for clip_id in fold.train}


def test_check_folds_finds_leaks_in_cross_speaker2():
    clips = tess()
    table = table_of("cross_speaker2", clips)
    fold = table.folds[0]

    def broken(**changes):
        return dataclasses.replace(table, folds=(dataclasses.replace(fold, **changes), table.folds[1]))

    moved = fold.validation[0]
    shared_word = broken(validation=fold.validation[1:], train=(*fold.train, moved))
    with pytest.raises(LeakError, match=r"sentences in both the train and the validation part: word04"):
        check_folds(shared_word, clips)
    tested = fold.test[0]
    for part in ("train", "validation"):
        shared_speaker = broken(test=fold.test[1:], **{part: (*getattr(fold, part), tested)})
        with pytest.raises(LeakError, match=rf"speakers in both the {part} and the test part: OAF"):
            check_folds(shared_speaker, [dataclasses.replace(clip, sentence=clip.clip_id) for clip in clips])


def test_too_few_words_to_hold_some_out_are_refused():
    with pytest.raises(LeakError, match="cross_speaker2, fold1: the validation part is empty"):
        table_of("cross_speaker2", tess(4))


def test_a_corpus_that_does_not_name_its_speakers_has_no_speaker_folds():
    clips = speakers_only("a", "b", "c") + [
        dataclasses.replace(clip, clip_id=f"x{clip.clip_id}", speaker="") for clip in speakers_only("d")
    ]
    for protocol in ("loso", "speaker_k"):
        with pytest.raises(ValueError, match=rf"{protocol} needs the speaker of every clip, .* does not state it for 4 clips: xd-0"):
            table_of(protocol, clips, num_folds=3)
    assert sizes(table_of("random_k", clips, num_folds=4)) == [(8, 4, 4)] * 4


def two_corpora(*, words: tuple[str, ...] = ("happy", "sad")) -> list[Clip]:
    """Return clips as `JoinedCorpus` gives them: six speakers of one corpus, two of another, one unknown in a third."""
    people = {"big": [f"big:{number}" for number in range(1, 7)], "small": ["small:a", "small:b"], "stills": [""]}
    return [
        Clip(f"{corpus}:{speaker}-{label}", corpus, label, speaker)
        for corpus, speakers in people.items()
        for speaker in speakers
        for label in (words if corpus == "small" else ("happy", "sad"))
    ]


def test_cross_corpus_tests_each_corpus_and_holds_speakers_of_the_others_out():
    clips = two_corpora()
    table = table_of("cross_corpus", clips)
    assert [fold.name for fold in table.folds] == ["big", "small", "stills"]
    of_big, of_small, _ = table.folds
    assert speakers(of_big.validation, clips) == {"small:b"} and speakers(of_big.train, clips) == {"small:a", ""}
    assert speakers(of_small.validation, clips) == {"big:5"} and speakers(of_small.test, clips) == {"small:a", "small:b"}
    assert table.speaker_independent and table.each_clip_once


def test_cross_corpus_needs_joined_corpora_their_speakers_and_common_classes():
    with pytest.raises(ValueError, match=r"is for joined corpora \(--config.corpus.name=NAME\+NAME\), and the clips are of ravdess"):
        table_of("cross_corpus", ravdess())
    with pytest.raises(ValueError, match=r"angry of small are in none of the others; set --config.corpus.label_set"):
        table_of("cross_corpus", two_corpora(words=("happy", "angry")))
    with pytest.raises(ValueError, match="without small no corpus has two named speakers"):
        table_of("cross_corpus", [clip for clip in two_corpora() if clip.corpus != "big"])


def test_text_independent_on_two_sentences_validates_on_held_out_speakers():
    clips = [dataclasses.replace(clip, sentence=str(int(clip.sentence))) for clip in ravdess()]
    sentence_of = {clip.clip_id: clip.sentence for clip in clips}
    table = table_of("text_independent", clips)
    assert not table.speaker_independent and (table.groups_by, table.validation_by) == ("sentence", "speaker")
    assert sizes(table) == [(600, 120, 720)] * 2
    for fold, tested in zip(table.folds, "12", strict=True):
        assert {sentence_of[clip_id] for clip_id in fold.test} == {tested}
        assert {sentence_of[clip_id] for clip_id in (*fold.train, *fold.validation)} == {"1", "2"} - {tested}
        assert speakers(fold.validation, clips) == {"05", "10", "15", "20"} and not speakers(fold.train, clips) & {"05", "10", "15", "20"}
    with pytest.raises(ValueError, match=r"names 2 sentences of ravdess.*extra: 3"):
        table_of("text_independent", [*clips, dataclasses.replace(clips[0], clip_id="new", sentence="3")])


def test_text_independent_on_many_words_distributes_them_over_five_folds():
    clips = tess(11)
    sentence_of = {clip.clip_id: clip.sentence for clip in clips}
    table = table_of("text_independent", clips)
    assert (table.groups_by, table.validation_by, len(table.folds)) == ("sentence", "", 5)
    tested = [{sentence_of[clip_id] for clip_id in fold.test} for fold in table.folds]
    assert tested[0] == {"word00", "word05", "word10"} and tested[4] == {"word04", "word09"}
    assert {sentence_of[clip_id] for clip_id in table.folds[4].validation} == tested[0]
    assert table.note.startswith("11 sentences, which five folds take in turn")
    with pytest.raises(ValueError, match="text_independent needs at least 5 sentences, one for each fold, and the clips have 4"):
        table_of("text_independent", tess(4))


def test_subject10_distributes_subjects_and_is_refused_for_other_corpora():
    clips = speakers_only(*(f"S{number:03}" for number in range(5, 28)), corpus="ck_plus")
    table = table_of("subject10", clips)
    assert speakers(table.folds[0].test, clips) == {"S005", "S015", "S025"}
    assert speakers(table.folds[0].validation, clips) == {"S006", "S016", "S026"}
    with pytest.raises(ValueError, match="'subject10' is for ck48 and ck_plus, and the clips are of other"):
        table_of("subject10", speakers_only("a"))


# Complete corpora with one clip a group, which is all that folds depend on. A published table never changes.
WHOLE = {
    "ravdess": ("speaker", [f"{actor:02}" for actor in range(1, 25)]),
    "iemocap": ("session", [str(session) for session in range(1, 6)]),
    "crema_d": ("speaker", [str(actor) for actor in range(1001, 1092)]),
    "enterface": ("speaker", [f"s{subject}" for subject in range(1, 45) if subject != 6]),
    "fer2013": ("usage", ["Training", "PublicTest", "PrivateTest"]),
}
HASHES = {
    ("ravdess", "luna5"): "4ded6b7b5a115bc8",
    ("ravdess", "emobox6"): "3c24910ee5d72bdd",
    ("ravdess", "seq6"): "b2da0ff023dca3b9",
    ("ravdess", "audeering"): "204597b42e90fb1d",
    ("iemocap", "session5"): "7ac28ce3fdb68fab",
    ("crema_d", "seq5"): "721f8d1f37d3f955",
    ("enterface", "subject5"): "bfca3edd2df5a7b2",
    ("fer2013", "official"): "eebfd753ff3f4f5d",
}


@pytest.mark.parametrize(("corpus", "protocol"), list(HASHES), ids=lambda value: value)
def test_published_tables_never_change(corpus, protocol):
    groups_by, groups = WHOLE[corpus]
    clips = [
        Clip(
            clip_id=group,
            corpus=corpus,
            label="happy",
            speaker="" if groups_by == "usage" else group,
            session=group if groups_by == "session" else "",
            gender="female" if number % 2 else "male",
            attributes={"usage": group} if groups_by == "usage" else {},
        )
        for number, group in enumerate(groups)
    ]
    assert table_of(protocol, clips).content_hash[:16] == HASHES[corpus, protocol]


@pytest.mark.parametrize(
    ("corpus", "names"),
    [
        ("rml", [f"s{number}" for number in range(1, 9)]),
        ("savee", ["DC", "JE", "JK", "KL"]),
        ("jaffe", ["KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM"]),
        ("emodb", ["03", *(f"{number:02}" for number in range(8, 17))]),
        ("enterface", [f"s{number}" for number in range(1, 45) if number not in (6, 12)]),
        ("crema_d", [str(number) for number in range(1001, 1092)]),
    ],
)
def test_loso_needs_exactly_the_speakers_of_the_complete_corpus(corpus, names):
    clips = speakers_only(*names, corpus=corpus)
    table = table_of("loso", clips)
    assert [fold.name for fold in table.folds] == [f"speaker_{name}" for name in names] and table.speaker_independent
    with pytest.raises(ValueError, match=rf"protocol loso names .* speakers of {corpus}, .*missing: \w+\)"):
        table_of("loso", [clip for clip in clips if clip.speaker != names[-1]])
    with pytest.raises(ValueError, match="extra: 77"):
        table_of("loso", [*clips, *speakers_only("s77", corpus=corpus)])


def test_every_table_is_listed_for_its_corpus():
    listed = {
        "crema_d": {"seq5", "text_independent", "loso"},
        "enterface": {"subject5", "text_independent", "loso"},
        **{corpus: {"loso", "speaker_k"} for corpus in ("rml", "savee", "jaffe")},
        "tess": {"cross_speaker2", "text_independent"},
        **{corpus: {"subject10", "loso"} for corpus in ("ck_plus", "ck48")},
        "fer2013": {"official"},
        "ravdess": {"luna5", "luna5_text", "emobox6", "seq6", "audeering", "text_independent", "loso"},
        "iemocap": {"session5", "speaker10"},
    }
    for corpus, names in listed.items():
        assert names <= set(protocol_names(corpus)), corpus
    assert "text_independent" not in protocol_names("iemocap") and "subject10" not in protocol_names("tess")


def test_speaker10_validates_on_the_other_speaker_of_the_session():
    clips = iemocap()
    table = table_of("speaker10", clips)
    assert len(table.folds) == 10
    assert speakers(table.folds[3].test, clips) == {"Ses02M"}
    assert speakers(table.folds[3].validation, clips) == {"Ses02F"}


def test_speaker_k_spreads_genders_and_classes():
    clips = ravdess()
    by_id = {clip.clip_id: clip for clip in clips}
    for fold in table_of("speaker_k", clips, num_folds=6).folds:
        assert Counter(by_id[clip_id].gender for clip_id in fold.test) == {"male": 120, "female": 120}
        assert Counter(by_id[clip_id].gender for clip_id in fold.validation) == {"male": 60, "female": 60}


def test_random_folds_are_stratified_and_noted_as_speaker_dependent():
    clips = ravdess()
    by_id = {clip.clip_id: clip for clip in clips}
    table = table_of("random_k", clips, num_folds=4)
    assert not table.speaker_independent
    assert "SPEAKER-DEPENDENT" in table.note
    for fold in table.folds:
        assert Counter(by_id[clip_id].label for clip_id in fold.test) == {
            str(emotion): 24 if emotion == 1 else 48 for emotion in range(1, 9)
        }


@pytest.mark.parametrize("corpus", [ravdess, iemocap, tess])
def test_every_protocol_has_its_properties(corpus):
    clips = corpus()
    names = {clip.clip_id for clip in clips}
    for protocol in protocol_names(clips[0].corpus):
        if corpus is tess and protocol in ("loso", "speaker_k"):
            continue  # two speakers are too few for them
        table = table_of(protocol, clips)
        for fold in table.folds:
            parts = [getattr(fold, part) for part in PARTS]
            assert all(list(part) == sorted(part) and part for part in parts), protocol
            in_parts = sorted(clip_id for part in parts for clip_id in part)
            assert len(set(in_parts)) == len(in_parts) and (table.crossed_with or in_parts == sorted(names)), protocol
            if table.speaker_independent and not table.validation_by:
                assert sum(len(speakers(part, clips)) for part in parts) == len({clip.speaker for clip in clips}), protocol
        tested = [clip_id for fold in table.folds for clip_id in fold.test]
        assert len(tested) == len(set(tested)), protocol
        assert (set(tested) == names) == table.each_clip_once, protocol


def test_hash_depends_on_content_alone():
    clips = ravdess()
    hashes = {name: table_of(name, clips).content_hash for name in ("luna5", "seq6", "emobox6", "random10")}
    assert len(set(hashes.values())) == 4
    assert hashes["luna5"] == table_of("luna5", clips[::-1]).content_hash
    assert hashes["random10"] == table_of("random10", clips[::-1]).content_hash
    assert hashes["random10"] != table_of("random10", clips, seed=1).content_hash
    # The published table must not change, neither with the code nor with a library version.
    assert hashes["luna5"] == "baaea2452817939746a1adf4b43267fb7f8ad73a5efab67278dc9661204929b4"


def test_actor_folders_are_understood_as_actor_numbers():
    clips = ravdess()
    renamed = [dataclasses.replace(clip, speaker=f"Actor_{clip.speaker}") for clip in clips]
    assert table_of("luna5", renamed).folds == table_of("luna5", clips).folds


def test_holdout_is_another_name_of_80_20():
    table = table_of("holdout", ravdess())
    assert table.protocol == "holdout_80_20"
    assert table.folds == table_of("holdout_80_20", ravdess()).folds


def test_a_protocol_of_another_corpus_is_refused_with_the_protocols_that_fit():
    with pytest.raises(
        ValueError, match=r"'session5' is for iemocap, and the clips are of ravdess; protocols for this corpus: luna5, .*speaker_k"
    ):
        table_of("session5", ravdess())
    with pytest.raises(ValueError, match=r"'lunar' is unknown; protocols for this corpus: session5"):
        table_of("lunar", iemocap())


def test_missing_and_extra_speakers_are_named():
    clips = ravdess()
    with pytest.raises(ValueError, match=r"missing: 7, 9\)"):
        table_of("luna5", [clip for clip in clips if clip.speaker not in ("07", "09")])
    extra = [*clips, dataclasses.replace(clips[0], clip_id="other", speaker="25")]
    with pytest.raises(ValueError, match="extra: 25"):
        table_of("loso", extra)
    with pytest.raises(ValueError, match="missing: 5"):
        table_of("session5", [clip for clip in iemocap() if clip.session != "Session5"])


def test_a_corpus_may_lack_speakers_if_the_config_allows_it():
    clips = [clip for clip in ravdess() if clip.speaker != "18"]
    with pytest.raises(ValueError, match=r"missing: 18\).*allow_leaks=\"\('groups_differ',\)\""):
        table_of("luna5", clips)
    table = table_of("luna5", clips, groups_may_differ=True)
    assert table.groups_differ.names == ("18",) and len(table.folds) == 5
    assert table_of("luna5", ravdess(), groups_may_differ=True).groups_differ is None
    never_tested = [*clips, dataclasses.replace(clips[0], clip_id="other", speaker="25")]
    with pytest.raises(LeakError, match="tests each clip once, but these are in no test part: other"):
        table_of("luna5", never_tested, groups_may_differ=True)
    assert [fold.name for fold in table_of("loso", never_tested, groups_may_differ=True).folds][-1] == "speaker_25"


def test_impossible_numbers_of_folds():
    with pytest.raises(ValueError, match="num_folds=9 and 4 speakers"):
        table_of("speaker_k", speakers_only("a", "b", "c", "d"), num_folds=9)
    with pytest.raises(ValueError, match="got 2 folds"):
        table_of("random_k", speakers_only("a", "b"), num_folds=2)


def small_table(**changes) -> FoldTable:
    """Return a table of speakers a, b, c with 4 clips each: a trains, b validates, c is tested."""
    parts = {part: tuple(f"{speaker}-{index}" for index in range(4)) for part, speaker in zip(PARTS, "abc", strict=True)}
    return FoldTable("mine", (Fold("fold1", **(parts | changes)),), "speaker", "", each_clip_once=False)


def test_check_folds_accepts_a_clean_table():
    check_folds(small_table(), speakers_only("a", "b", "c"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"validation": ("b-0", "b-1", "b-2"), "train": ("a-0", "a-1", "a-2", "a-3", "b-3")},
            "speakers in both the train and the validation.*: b",
        ),
        ({"test": ("c-0", "c-1", "c-2", "c-3", "a-0")}, "clips in both the train and the test part: a-0"),
        ({"validation": ()}, "the validation part is empty"),
        ({"test": ("c-0", "c-1", "c-2")}, "clips in no part: c-3"),
        ({"test": ("c-0", "c-1", "c-2", "c-3", "d-0")}, "does not have: d-0"),
    ],
)
def test_check_folds_names_what_is_wrong(changes, message):
    with pytest.raises(LeakError, match=message):
        check_folds(small_table(**changes), speakers_only("a", "b", "c"))


def test_check_folds_requires_that_each_clip_is_tested_once():
    table = dataclasses.replace(small_table(), each_clip_once=True)
    with pytest.raises(LeakError, match=r"in no test part: a-0, "):
        check_folds(table, speakers_only("a", "b", "c"))
    doubled = dataclasses.replace(table, folds=table.folds * 2, groups_by="")
    with pytest.raises(LeakError, match="tests each clip once, but these are"):
        check_folds(doubled, speakers_only("a", "b", "c"))


def test_a_shared_speaker_in_a_session_protocol_is_found():
    clips = iemocap()
    table = table_of("session5", clips)
    moved = [dataclasses.replace(clip, speaker="Ses01F") if clip.speaker == "Ses03F" else clip for clip in clips]
    with pytest.raises(LeakError, match=r"speakers in both .*: Ses01F"):
        check_folds(table, moved)


def test_too_few_clips_to_balance_are_refused():
    clips = [
        Clip(clip_id=f"{speaker}-{label}", corpus="made", label=label, speaker=speaker, gender="male" if speaker < "c" else "female")
        for speaker in "abcd"
        for label in ("happy", "sad")
    ]
    with pytest.raises(ValueError, match=r"8 clips of 4 speakers are too few for 3 folds.*; set --config.protocol.name=loso") as refused:
        make_folds("speaker_k", clips, [0, 1] * 4, num_folds=3)
    assert "num_folds" not in str(refused.value)  # which is at its least
    with pytest.raises(ValueError, match=r"too few for 4 folds.*set a smaller --config.protocol.num_folds, or --config.protocol.name=loso"):
        make_folds("speaker_k", clips, [0, 1] * 4, num_folds=4)
    assert len(make_folds("loso", clips, [0, 1] * 4).folds) == 4


def test_two_speakers_are_told_which_protocol_takes_them():
    clips = [Clip(clip_id=f"{index:02}", corpus="made", label="happy", speaker="ab"[index % 2]) for index in range(24)]
    labels = [index // 12 for index in range(24)]
    with pytest.raises(ValueError, match=r"needs at least 3 speakers, .* the clips have 2; --config.protocol.name=random_k"):
        make_folds("speaker_k", clips, labels)
    assert len(make_folds("random_k", clips, labels).folds) == 5
