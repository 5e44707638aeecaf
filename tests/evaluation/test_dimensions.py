"""CCC and RMSE of dimensions: hand-computed values, clips without ratings, intervals, and the results of a run without classes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from made_facts import made_facts
from results_schema import check_results

from avemo_jax.evaluation.metrics import Metric, ccc_from_sums, rating_sums, rmse_from_sums, selectable_names
from avemo_jax.evaluation.predictions import Predictions, ensemble_of_seeds, largest_difference, read_predictions_csv, write_predictions_csv
from avemo_jax.evaluation.results import RunResults, StageResult
from avemo_jax.evaluation.summary import summarise
from avemo_jax.reporting.report import format_table
from avemo_jax.reporting.run_tables import run_tables

MEANS = {"fold1": np.array([3.0, 3.0]), "fold2": np.array([3.5, 3.0])}


def made(seeds=(0,), *, shift: float = 0.0, num_unrated: int = 4, classes=("any",)) -> Predictions:
    """Six speakers x four clips in two folds; predictions follow the ratings with noise, and `shift` is added to them."""
    generator, size, count = np.random.default_rng(0), 24, len(seeds)
    speaker = np.repeat(np.arange(6), 4)
    rating = generator.uniform(1, 5, (size, 2))
    rating[:num_unrated, 0] = np.nan
    value = np.nan_to_num(rating, nan=3.0) + generator.normal(size=(count, size, 2)) * 0.5 + shift
    return Predictions(
        clip=np.tile([f"c{index:02}" for index in range(size)], count),
        speaker=np.tile([f"s{index}" for index in speaker], count),
        gender=np.full(size * count, "unknown"),
        fold=np.tile(np.where(speaker % 2, "fold1", "fold2"), count),
        seed=np.repeat(seeds, size),
        label=np.tile(np.arange(size) % len(classes), count),
        probabilities=np.full((size * count, len(classes)), 1 / len(classes)),
        classes=classes,
        dimensions=("valence", "arousal"),
        rating=np.tile(rating, (count, 1)),
        value=value.reshape(-1, 2),
    )


def sums_of(rating, value):
    rating, value = (np.asarray(one, float)[:, None] for one in (rating, value))
    return rating_sums(rating, value, np.ones_like(rating))[0]


def test_ccc_and_rmse_by_hand():
    # means 2 and 3, variances 2/3 and 2/3, covariance 2/3: 2 * 2/3 / (2/3 + 2/3 + 1) = 4/7
    sums = sums_of([1, 2, 3], [2, 3, 4])
    assert ccc_from_sums(sums) == pytest.approx(4 / 7) and rmse_from_sums(sums) == pytest.approx(1)
    assert ccc_from_sums(sums_of([1, 2, 3], [3, 2, 1])) == pytest.approx(-1)
    assert ccc_from_sums(sums_of([1, 2, 3], [2, 2, 2])) == 0 and rmse_from_sums(np.zeros(6)) == 0
    both = np.stack([sums_of([1, 2], [2, 3]), sums_of([3], [4])]).sum(axis=0)
    np.testing.assert_allclose(both, sums)


def test_a_dimension_is_measured_over_its_rated_clips_with_an_interval_and_what_it_is_compared_with():
    data = made(seeds=(0, 1))
    results = summarise(data, made_facts(), train_means=MEANS, num_resamples=200)
    valence, arousal = results.dimensions
    assert (valence.dimension, valence.num_rated, valence.num_unrated) == ("valence", 20, 4) and arousal.num_rated == 24
    rows = ~np.isnan(data.rating[:, 0])
    difference = data.value[rows, 0] - data.rating[rows, 0]
    assert valence.metrics["rmse"].pooled == pytest.approx(np.sqrt(np.mean(difference**2)))
    rating, value = data.rating[rows, 0], data.value[rows, 0]
    covariance = np.mean((rating - rating.mean()) * (value - value.mean()))
    expected = 2 * covariance / (rating.var() + value.var() + (rating.mean() - value.mean()) ** 2)
    low, high = valence.metrics["ccc"].ci95
    assert valence.metrics["ccc"].pooled == pytest.approx(expected) and low < expected < high <= 1
    assert [(one.fold, one.seed, one.num_rated) for one in valence.per_fold] == [
        *(("fold1", 0, 12), ("fold2", 0, 8)),
        *(("fold1", 1, 12), ("fold2", 1, 8)),
    ]
    assert valence.training_mean["ccc"].mean_of_folds == pytest.approx(0, abs=1e-9)
    assert valence.seed_ensemble["rmse"].pooled < valence.metrics["rmse"].pooled


def test_a_fold_without_two_rated_clips_is_left_out():
    data = made(num_unrated=23)
    assert {one.dimension for one in summarise(data, made_facts(), num_resamples=20).dimensions} == {"arousal"}
    assert not summarise(dataclasses.replace(data, dimensions=(), rating=None, value=None), made_facts(), num_resamples=20).dimensions


def test_results_go_to_json_and_back_and_fit_the_schema():
    baseline = summarise(made(shift=1.0), made_facts(), num_resamples=20)
    results = summarise(made(seeds=(0, 1)), made_facts(), baseline=baseline, train_means=MEANS, num_resamples=20)
    content = json.loads(json.dumps(results.to_json()))
    check_results(content)
    assert RunResults.from_json(content).dimensions == results.dimensions
    assert results.dimensions[0].baseline == baseline.dimensions[0].metrics


def test_without_classes_only_dimensions_are_shown():
    baseline = summarise(made(), made_facts(), num_resamples=20)
    results = summarise(made(shift=1.5), made_facts(), baseline=baseline, train_means=MEANS, num_resamples=20)
    stages = (StageResult(stage="audio", num_params=1, metrics={name: one.pooled for name, one in results.metrics.items()}),)
    assert [table.name for table in run_tables(dataclasses.replace(results, stages=stages), [])] == ["dimensions"]
    text = format_table(results)
    assert "valence and arousal" in text and "20 of 24" in text and "UAR" not in text
    assert "not better than ridge on functionals in valence: RMSE" in text and "not better than mean of training in arousal: RMSE" in text
    beside = summarise(made(classes=("happy", "sad")), made_facts(), num_resamples=20)
    assert "2 classes, valence and arousal" in (text := format_table(beside)) and "UAR" in text and "CCC" in text


def test_predictions_with_dimensions_are_written_and_read(tmp_path):
    data = made(seeds=(0, 1), classes=("happy", "sad"))
    write_predictions_csv(tmp_path / "p.csv", data)
    header, first, *_ = (tmp_path / "p.csv").read_text().splitlines()
    assert header.endswith("p_happy,p_sad,rating_valence,value_valence,rating_arousal,value_arousal")
    assert ",0.500000,0.500000," in first
    again = read_predictions_csv(tmp_path / "p.csv")
    assert largest_difference(again, data) == 0 and np.isnan(again.rating).sum() == 8
    changed = dataclasses.replace(data, value=data.value + 0.25)
    assert largest_difference(again, changed) == pytest.approx(0.25)
    assert largest_difference(again, dataclasses.replace(data, rating=data.rating + 1)) == np.inf
    together = ensemble_of_seeds(data)
    np.testing.assert_allclose(together.value, (data.value[:24] + data.value[24:]) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="predicted ratings of 1 clips are not finite, the first is c00"):
        dataclasses.replace(together, value=np.where((together.clip == "c00")[:, None], np.nan, together.value))


def test_metrics_of_dimensions_select_where_there_are_dimensions():
    assert "ccc" not in selectable_names() and "uar" not in selectable_names(of_classes=False, of_dimensions=True)
    assert set(selectable_names(of_classes=False, of_dimensions=True)) == {"ccc", "rmse"}
    with pytest.raises(ValueError, match="expected one of from_confusion, from_probabilities, from_ratings"):
        Metric("both", "Both", lambda counts: counts, from_ratings=ccc_from_sums, reported=False)
