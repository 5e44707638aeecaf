"""The plan of a run: the clips that each trial is trained, selected and tested on, and the counts of lost clips."""

import numpy as np
import pytest
from made_sets import segment, write_set
from small_experiment import BOTH, EMOTIONS, small_clips, small_config

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import Damage, PreparedCorpus
from avemo_jax.experiment.baseline import fit_baseline
from avemo_jax.experiment.grid_plan import check_tokens, make_plan

LOST = "s1-happy-0"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Six speakers x four emotions x two takes, one of them lost, and one clip with an emotion that no label set has."""
    clips = [*small_clips(num_speakers=6), Clip(clip_id="zz", corpus="made", label="bored", speaker="s0", gender="male")]

    def segments_of(i):
        if clips[i].clip_id == LOST:
            return Damage("truncated", "cut short")
        level = 0.0 if clips[i].label == "bored" else float(EMOTIONS.index(clips[i].label))
        return [segment(5, 3, i, offset=level)] * (2 if clips[i].clip_id == "s0-sad-0" else 1)

    directory = tmp_path_factory.mktemp("plan")
    audio = write_set(directory, clips, segments_of, step_shape=(3,))
    return PreparedCorpus(tuple(clips), {"audio": audio}, audio)


def test_every_labelled_clip_is_planned_and_the_lost_one_is_tested_but_not_trained_on(prepared):
    plan = make_plan(small_config(), prepared)
    assert len(plan.clips) == 48 and plan.num_undecodable == 1 and plan.num_without_face == 0
    inputs = plan.inputs(plan.stages[0], plan.trials)
    lost = plan.data.examples_of([LOST])
    assert len(lost) == 1 and not plan.data.usable[lost[0]]
    assert all(lost[0] not in one.train_index[: one.train_count] for one in inputs)
    tested = np.concatenate([plan.test_rows(trial) for trial in plan.trials])
    assert sorted(tested) == list(range(49))  # 48 clips, one of two segments
    clip_of = plan.data.clip
    for one, fold in zip(inputs, plan.folds.folds, strict=True):
        ids = {part: set(getattr(fold, part)) for part in ("train", "validation")}
        assert {plan.data.clip_ids[clip_of[row]] for row in one.train_index[: one.train_count]} == ids["train"] - {LOST}
        assert {plan.data.clip_ids[clip_of[row]] for row in one.select_index[: one.select_count]} == ids["validation"]


def test_selecting_on_test_is_possible(prepared):
    plan = make_plan(small_config(protocol__select="test"), prepared)
    one, fold = plan.inputs(plan.stages[0], plan.trials)[0], plan.folds.folds[0]
    chosen = {plan.data.clip_ids[plan.data.clip[row]] for row in one.select_index[: one.select_count]}
    assert chosen == set(fold.test)


@pytest.mark.parametrize("select", ["test", "last"])
def test_the_validation_part_trains_where_nothing_is_selected_on_it(prepared, select):
    """As in the documents, which train on all clips outside of the test part."""
    plan = make_plan(small_config(protocol__select=select), prepared)
    for trial, fold in zip(plan.trials, plan.folds.folds, strict=True):
        train, selects = plan.part_clips(plan.stages[0], trial)
        assert set(train) == {*fold.train, *fold.validation} and len(train) == len(set(train)) and not set(train) & set(fold.test)
        assert set(selects) == set(fold.test if select == "test" else fold.validation)
    assert not make_plan(small_config(), prepared).trains_on_validation
    with pytest.raises(ValueError, match=r"protocol.select=last .* a sweep"):
        make_plan(small_config(protocol__select="last", sweep__learning_rate=(0.1, 0.2)), prepared)


def test_tokens_of_unequal_width_are_refused_before_anything_is_prepared():
    """Document B attends over the sound and the picture of a segment, which must be equally wide."""
    views = {"mfcc": ((3,), "float32"), "faces": ((2, 4), "float32")}
    fused = {"system__streams": BOTH, "train__stages": (*BOTH, "fused"), "fusion__kind": "token_attention"}
    wide = {name: 4 for name in BOTH}
    fields = {f"streams__{name}__dense_units": () for name in BOTH} | {f"streams__{name}__encoder": "mlp" for name in BOTH}
    fields |= fused | {f"streams__{name}__encoder_units": (width,) for name, width in wide.items()}
    check_tokens(small_config(**fields), views)
    with pytest.raises(ValueError, match=r"tokens of one width, got {'audio': 4, 'video': 5}"):
        check_tokens(small_config(**fields | {"streams__video__encoder_units": (5,)}), views)


def test_the_baseline_tests_every_clip_and_beats_chance(prepared):
    plan = make_plan(small_config(), prepared)
    predictions = fit_baseline(plan, prepared.functionals, plan.folds.folds).predict(prepared.functionals)
    assert sorted(predictions.clip) == [clip.clip_id for clip in plan.clips]
    assert (predictions.predicted == predictions.label).mean() > 0.5
    lost = predictions.probabilities[predictions.clip == LOST][0]
    assert lost.max() < 0.3  # the class frequencies of the training part


def test_length_buckets_are_of_the_lengths_of_the_corpus(prepared, tmp_path):
    clips = prepared.clips[:48]
    audio = write_set(tmp_path, clips, lambda i: [segment(2 + i % 4, 3, i)], step_shape=(3,))
    corpus = PreparedCorpus(clips, {"audio": audio}, None)
    for number, expected in ((1, ()), (2, (("audio", (4, 5)),)), (4, (("audio", (3, 4, 5)),))):
        plan = make_plan(small_config(train__length_buckets=number), corpus)
        assert plan.recipe(plan.stages[0], plan.trials[0]).length_limits == expected


def test_a_batch_is_cut_to_the_corpus(prepared):
    for given, used in ((32, 32), (64, 64), (65, 64), (60_000, 64)):  # 49 examples
        plan = make_plan(small_config(train__batch_size=given), prepared)
        assert plan.recipe(plan.stages[0], plan.trials[0]).batch_size == used


def test_a_config_that_does_not_fit_is_refused(prepared):
    for fields, message in (
        ({"devices__feed": "disk"}, "devices.feed must be one of"),
        ({"protocol__select": "train"}, "protocol.select must be"),
        ({"protocol__name": "luna5"}, "luna5.*ravdess"),
        ({"corpus__label_set": "emojis"}, "unknown label set"),
        ({"train__length_buckets": 2, "devices__feed": "stream"}, "length_buckets needs all examples in memory"),
    ):
        with pytest.raises(ValueError, match=message):
            make_plan(small_config(**fields), prepared)
    with pytest.raises(ValueError, match="loso needs at least 3 speakers"):
        make_plan(small_config(protocol__name="loso"), PreparedCorpus(prepared.clips[:16], prepared.sets, None))
