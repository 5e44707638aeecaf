"""The stage of the classical system: statistics of several streams, and degraded copies of training clips alone."""

from __future__ import annotations

import numpy as np
import pytest
from small_experiment import BOTH, small_config, small_corpus, write_set

from avemo_jax import api
from avemo_jax.config import parse
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.baseline import is_of_functionals
from avemo_jax.experiment.classical_stage import fit_classical_stage, rows_of_parts, statistics_of
from avemo_jax.experiment.grid_plan import GridPlan, check_experiment, make_plan
from avemo_jax.modes.train import train as train_grid
from avemo_jax.reporting.side_tables import side_tables
from configs import demo
from data_prep.views.segments import ViewSegment

COPY = "noise:20"
KERNEL = {
    "train__stages": ("kernel",),
    "streams__audio__pooling": "mean",
    "streams__video__pooling": "mean_std",
    "system__streams": BOTH,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> PreparedCorpus:
    return small_corpus(tmp_path_factory.mktemp("prepared"))


def copy_of(prepared: PreparedCorpus, folder, changed: str = "") -> PreparedCorpus:
    """Return a copy of the corpus with noise as its sound, and other noise in the clips of speaker `changed`."""
    numbers = {clip.clip_id: number for number, clip in enumerate(prepared.clips)}

    def segments(i):
        seed = numbers[prepared.clips[i].clip_id] + 1000 * (prepared.clips[i].speaker == changed)
        values = np.random.default_rng(seed).normal(size=(2, 3)).astype(np.float32)
        return [ViewSegment(values, np.ones(2, bool), np.zeros(2, np.float32), 2)]

    audio = write_set(folder, prepared.clips, segments, step_shape=(3,))
    return PreparedCorpus(prepared.clips, dict(prepared.sets) | {"audio": audio}, None)


def plan_of(prepared: PreparedCorpus, folder, copy: PreparedCorpus | None = None) -> GridPlan:
    copies = {} if copy is None else {COPY: copy}
    corpus = PreparedCorpus(prepared.clips, prepared.sets, None, copies=copies)
    return make_plan(small_config(folder, **KERNEL, train__copies=tuple(copies)), corpus)


def test_statistics_are_mean_and_deviation_of_each_stream(prepared, tmp_path):
    plan = plan_of(prepared, tmp_path)
    found = statistics_of(plan.experiment, plan.data, plan.stages[0])
    arrays = plan.data.arrays
    for row in range(0, len(found.clip), 7):
        sound, picture = (arrays[name][row][arrays[f"{name}_mask"][row]] for name in BOTH)
        picture = picture.reshape(len(picture), -1)
        expected = np.concatenate([sound.reshape(len(sound), -1).mean(axis=0), picture.mean(axis=0), picture.std(axis=0)])
        np.testing.assert_allclose(found.features[row], expected, rtol=1e-4, atol=1e-5)
    assert sum(found.widths) == found.features.shape[1] and len(found.widths) == 2


def test_copies_of_training_clips_are_trained_on_and_others_are_not(prepared, tmp_path):
    plan = plan_of(prepared, tmp_path / "a")
    fold = plan.folds.folds[0]
    speaker_of = {clip.clip_id: clip.speaker for clip in plan.clips}
    tested, trained = speaker_of[fold.test[0]], speaker_of[fold.train[0]]
    rows = plan.data.examples_of(fold.test)

    def predicted(name: str, changed: str) -> np.ndarray:
        own = plan_of(prepared, tmp_path / name, copy_of(prepared, tmp_path / name, changed))
        return fit_classical_stage(own, own.stages[0]).probabilities([0], [rows])[0]

    without = fit_classical_stage(plan, plan.stages[0]).probabilities([0], [rows])[0]
    with_copies = predicted("b", "")
    assert np.abs(with_copies - without).max() > 1e-3
    np.testing.assert_array_equal(predicted("c", tested), with_copies)
    assert np.abs(predicted("d", trained) - with_copies).max() > 1e-6


def test_without_selection_the_validation_part_trains_and_the_test_part_does_not(prepared, tmp_path):
    plan = make_plan(small_config(tmp_path, **KERNEL, protocol__select="last"), prepared)
    stage, trial = plan.stages[0], plan.trials[0]
    train, select = rows_of_parts(plan, stage, statistics_of(plan.experiment, plan.data, stage), trial)
    fold = plan.folds.folds[trial.fold]
    assert {plan.clips[clip].clip_id for clip in plan.data.clip[train]} == {*fold.train, *fold.validation} - {"c05"}
    assert not len(select)
    with pytest.raises(ValueError, match="stage 'svm' select"):
        make_plan(small_config(tmp_path, train__stages=("svm",), protocol__select="last"), prepared)


def test_the_training_part_is_reported_where_it_is_asked_for(prepared, tmp_path):
    """Every clip trains in some folds, and is predicted better than by the classifiers that have not seen it."""
    results = train_grid(small_config(tmp_path / "run", **KERNEL, protocol__training_part=True), prepared)
    counts, tested = (np.asarray(one.counts) for one in (results.training, results.confusion))
    assert counts.sum() == sum(one.num_train for one in results.per_fold)
    assert np.trace(counts) / counts.sum() > np.trace(tested) / tested.sum()
    (table,) = [table for table in side_tables(results) if table.name == "training"]
    assert f"WAR {100 * np.trace(counts) / counts.sum():.1f}" in table.note
    assert [row[1] for row in table.rows] == counts.sum(axis=1).tolist() and table.rows[0][3] == counts[0, 0] / counts[0].sum()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train__stages": ("audio",), "train__copies": ("speed:1.1",)}, r"train\.copies are used by the stages .* 'audio'"),
        (KERNEL | {"train__copies": ("speed:3",)}, r"train\.copies holds 'speed:3'; expected the amount of speed in times, from 0\.5 to 2"),
        (KERNEL | {"train__copies": ("missing:audio",)}, "stream_dropout_rate"),
        (KERNEL | {"train__copies": ("speed:1.1", "speed:1.10")}, "no copy twice"),
        (
            KERNEL | {"streams__audio__pooling": "attention"},
            r"streams\.audio\.pooling is 'attention'; set --config\.streams\.audio\.pooling=mean",
        ),
        (KERNEL | {"train__stages": ("svm",)}, "'svm' is the only stage, on one stream"),
    ],
)
def test_what_the_stage_cannot_do_is_refused_before_preparing(fields, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        check_experiment(small_config(tmp_path, **fields))


def test_the_baseline_stands_beside_all_systems_but_those_of_functionals(prepared, tmp_path):
    assert not is_of_functionals(plan_of(prepared, tmp_path))
    alone = {"train__stages": ("linear",), "streams__audio__view": "functionals", "streams__audio__pooling": "mean"}
    assert is_of_functionals(
        make_plan(small_config(tmp_path, **alone), PreparedCorpus(prepared.clips, {"audio": prepared.sets["audio"]}, None))
    )


def test_copies_of_a_medium_that_no_stream_is_made_from_are_refused():
    config = demo.get_config("functionals_linear")
    config.train.copies = ("noise:20", "occlusion:0.2")
    with pytest.raises(ValueError, match=r"train\.copies holds 'occlusion:0\.2', which changes video, and no stream of functionals_linear"):
        api.prepare(parse(config.to_dict()))
