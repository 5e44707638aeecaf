"""Dimensions from a config to results: beside the classes, and in place of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_experiment import BOTH, EMOTIONS, only, rows_of, small_config, small_corpus

from avemo_jax.comparison.entries import ComparisonError, read_run
from avemo_jax.evaluation.predictions import read_predictions_csv
from avemo_jax.experiment.baseline import fit_baseline
from avemo_jax.experiment.grid_plan import check_experiment, make_plan
from avemo_jax.modes.train import train

DIMENSIONS = dict(corpus__dimensions=("valence", "arousal"))
ALONE = DIMENSIONS | dict(corpus__label_set="none", protocol__metric="ccc")


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A corpus of which every seventh clip has no valence, and every clip an arousal that its sound shows."""
    prepared = only(small_corpus(tmp_path_factory.mktemp("prepared")), "audio")
    clips = []
    for number, clip in enumerate(prepared.clips):
        level = EMOTIONS.index(clip.label)
        valence = {} if number % 7 == 3 else {"valence": str(3 + level % 2 + int(clip.speaker[1:]) / 10)}
        clips.append(dataclasses.replace(clip, attributes=valence | {"arousal": str(1 + level)}))
    return dataclasses.replace(prepared, clips=tuple(clips), functionals=prepared.sets["audio"])


@pytest.mark.filterwarnings("ignore:.*not finite")
def test_a_run_without_classes_is_selected_measured_and_reported_by_ccc(tmp_path, rated):
    results = train(small_config(tmp_path / "run", **ALONE, train__num_epochs=6, protocol__baseline=True), rated)
    predictions = read_predictions_csv(tmp_path / "run/predictions.csv")
    assert predictions.classes == ("any",) and np.isnan(predictions.rating[:, 0]).sum() == results.dimensions[0].num_unrated == 10
    valence, arousal = results.dimensions
    assert arousal.metrics["ccc"].pooled > 0.4 > 0.1 > arousal.training_mean["ccc"].pooled and valence.baseline is not None
    rows = rows_of(tmp_path / "run")
    assert all(row["val_uar"] is None and row["val_ccc"] is not None and row["val_loss"] > 0 for row in rows)
    page = (tmp_path / "run/report.html").read_text()
    assert "validation CCC by epoch" in page and "ridge on functionals" in page and "<h2>Confusion" not in page and "UAR" not in page
    with pytest.raises(ComparisonError, match="predicts valence and arousal and no classes"):
        read_run(tmp_path / "run")


def test_a_plan_beside_classes_standardises_by_fold_and_the_baseline_predicts_both(rated):
    plan = make_plan(small_config(**DIMENSIONS), rated)
    first, second = plan.inputs(plan.stages[0], plan.trials)[:2]
    assert first.ratings.of_clip.shape == (72, 2) and first.ratings.mean[0] != second.ratings.mean[0]
    predicted = fit_baseline(plan, rated.functionals, plan.folds.folds).predict(rated.functionals)
    assert predicted.dimensions == ("valence", "arousal") and predicted.classes == EMOTIONS and predicted.value.shape == (72, 2)
    assert np.corrcoef(predicted.value[:, 1], predicted.rating[:, 1])[0, 1] > 0.3
    shape = plan.blueprint.state_shape(plan.stages[0], plan.trials[0])
    assert shape.scaler["rating"]["mean"].shape == (2,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (ALONE | dict(corpus__dimensions=()), "label_set=none has no classes"),
        (ALONE | dict(protocol__metric="uar"), r"protocol.metric must be one of \('ccc', 'rmse'\), got 'uar'"),
        (dict(protocol__metric="ccc"), "protocol.metric must be one of"),
        (DIMENSIONS | dict(train__dimension_loss="mae"), r"train.dimension_loss must be one of \('ccc', 'mse'\)"),
        (DIMENSIONS | dict(system__streams=BOTH, train__stages=(*BOTH, "late")), "the stage 'late' predicts classes alone"),
        (DIMENSIONS | dict(train__stages=("linear",)), "the stage 'linear' predicts classes alone"),
    ],
)
def test_configs_that_cannot_be(fields, message):
    with pytest.raises(ValueError, match=message):
        check_experiment(small_config(**fields))
