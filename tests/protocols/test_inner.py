"""Inner folds and stacking parts: every clip is in one of them, no group is in two, and no clip is of the test part."""

import pytest

from avemo_jax.clips import Clip
from avemo_jax.protocols.folds import Fold, FoldTable
from avemo_jax.protocols.inner import inner_folds, stacking_parts
from avemo_jax.protocols.rules import make_folds

EMOTIONS = ("neutral", "happy", "sad", "angry")


def corpus(num_speakers: int = 12, num_takes: int = 2) -> tuple[list[Clip], list[int]]:
    """Return speakers x emotions x takes; the take is both the sentence and an attribute."""
    clips = [
        Clip(
            clip_id=f"s{speaker:02d}-{emotion}-{take}",
            corpus="made",
            label=emotion,
            speaker=f"s{speaker:02d}",
            sentence=f"t{take}",
            attributes={"round": str(take)},
        )
        for speaker in range(num_speakers)
        for emotion in EMOTIONS
        for take in range(num_takes)
    ]
    return clips, [EMOTIONS.index(clip.label) for clip in clips]


def groups_of(clip_ids, clips, by: str = "speaker") -> set[str]:
    return {clip.group(by) for clip in clips if clip.clip_id in set(clip_ids)}


def by_attribute(clips) -> FoldTable:
    """Return one fold of a protocol that groups by an attribute: the last two takes are tested, the two before them validate."""
    parts = [sorted(clip.clip_id for clip in clips if int(clip.attributes["round"]) in takes) for takes in (range(4), (4, 5), (6, 7))]
    return FoldTable("by_round", (Fold("rounds", *map(tuple, parts)),), groups_by="round", note="")


@pytest.mark.parametrize(("protocol", "by"), [("speaker_k", "speaker"), ("by_round", "round"), ("random_k", None)])
def test_inner_folds_divide_the_training_part(protocol, by):
    clips, labels = corpus(num_takes=8)
    table = by_attribute(clips) if protocol == "by_round" else make_folds(protocol, clips, labels, num_folds=4)
    for fold in table.folds:
        parts = inner_folds(table, fold, clips, labels, 3)
        assert len(parts) == 3 and all(part == tuple(sorted(part)) for part in parts)
        assert sorted(clip_id for part in parts for clip_id in part) == sorted(fold.train)
        if by:
            groups = [groups_of(part, clips, by) for part in parts]
            assert sum(map(len, groups)) == len(set().union(*groups))
        for part in parts:  # stratified: every inner part has every class
            assert {clip_id.split("-")[1] for clip_id in part} == set(EMOTIONS)


def test_inner_folds_are_deterministic():
    clips, labels = corpus()
    table = make_folds("speaker_k", clips, labels, num_folds=4)
    first = [inner_folds(table, fold, clips, labels, 3) for fold in table.folds]
    assert first == [inner_folds(table, fold, clips, labels, 3) for fold in table.folds]


@pytest.mark.parametrize("protocol", ["speaker_k", "random_k", "holdout_50_25_25"])
def test_stacking_parts_are_disjoint_and_of_the_validation_part(protocol):
    clips, labels = corpus(num_speakers=20)
    table = make_folds(protocol, clips, labels, num_folds=4)
    for fold in table.folds:
        train, select = (set(part) for part in stacking_parts(table, fold, clips, labels))
        assert train and select and not train & select
        assert train | select == set(fold.validation) and not (train | select) & {*fold.train, *fold.test}
        assert len(train) >= len(select)
        if protocol == "speaker_k":
            assert not groups_of(train, clips) & groups_of(select, clips)
        else:
            assert len(select) == pytest.approx(len(fold.validation) / 5, abs=1)


def test_of_few_validation_speakers_one_selects():
    clips, labels = corpus(num_speakers=8)
    table = make_folds("speaker_k", clips, labels, num_folds=4)
    fold = table.folds[0]
    assert len(groups_of(fold.validation, clips)) == 2
    train, select = stacking_parts(table, fold, clips, labels)
    assert len(groups_of(train, clips)) == len(groups_of(select, clips)) == 1


def test_with_one_training_speaker_inner_parts_share_no_sentences():
    """One of two speakers is tested; the other one trains and validates, with different sentences."""
    clips, labels = corpus(num_speakers=2, num_takes=12)
    train, validation, test = (
        tuple(clip.clip_id for clip in clips if clip.speaker == speaker and (int(clip.attributes["round"]) % 4 == 3) == held)
        for speaker, held in (("s00", False), ("s00", True), ("s01", False))
    )
    fold = Fold("s01", train, validation, test)
    table = FoldTable("two_speakers", (fold,), groups_by="speaker", note="", each_clip_once=False, validation_by="sentence")
    parts = inner_folds(table, fold, clips, labels, 3)
    sentences = [groups_of(part, clips, "sentence") for part in parts]
    assert sum(map(len, sentences)) == len(set().union(*sentences))
    train, select = stacking_parts(table, fold, clips, labels)
    assert not groups_of(train, clips, "sentence") & groups_of(select, clips, "sentence")


def test_errors_of_parts_that_cannot_be_divided():
    clips, labels = corpus(num_speakers=4)
    table = make_folds("loso", clips, labels)
    fold = table.folds[0]
    with pytest.raises(ValueError, match=r"late.num_inner_folds must be 2 or more, got 1"):
        inner_folds(table, fold, clips, labels, 1)
    with pytest.raises(ValueError, match=r"late.num_inner_folds=3: 3 parts that share no speaker .* are 2 speakers; .* other than loso"):
        inner_folds(table, fold, clips, labels, 3)
    with pytest.raises(ValueError, match=r"the stage 'stacked': 2 parts that share no speaker .* there are 1 speakers"):
        stacking_parts(table, fold, clips, labels)
    drawn = make_folds("random_k", clips, labels, num_folds=4)
    with pytest.raises(ValueError, match=r"late.num_inner_folds=90: 16 clips of protocol random_k cannot be divided"):
        inner_folds(drawn, drawn.folds[0], clips, labels, 90)
