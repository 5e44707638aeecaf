"""One record in METRICS makes a metric appear in results.json, its schema, every table, paired tests and selection."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest
from compared_systems import FACTS, entry, some_predictions
from jsonschema import Draft202012Validator
from sklearn.metrics import cohen_kappa_score

from avemo_jax.comparison.alignment import align
from avemo_jax.comparison.compare import measure
from avemo_jax.comparison.tables import comparison_tables
from avemo_jax.evaluation import metrics
from avemo_jax.evaluation.gaps import protocol_gaps
from avemo_jax.evaluation.metrics import FromProbabilities, Metric
from avemo_jax.evaluation.results import RunResults, results_schema
from avemo_jax.evaluation.summary import summarise
from avemo_jax.reporting.report import format_table
from avemo_jax.reporting.run_tables import run_tables
from avemo_jax.training.state import Recipe, StreamRecipe
from avemo_jax.training.steps import validation_metrics

SETTINGS = {"num_epochs": 1, "batch_size": 1, "optimizer": "sgd", "clip_norm": 1.0, "schedule": "constant", "warmup_epochs": 0}
SETTINGS |= {"plateau_patience_epochs": 1, "plateau_factor": 0.5, "early_stop_patience_epochs": 0}


def kappa_from_confusion(counts):
    """Cohen's kappa: (..., K, K) -> (...)."""
    total = counts.sum((-2, -1))
    expected = (counts.sum(-1) * counts.sum(-2)).sum(-1) / total**2
    return (counts.diagonal(0, -2, -1).sum(-1) / total - expected) / (1 - expected)


def confidence_sums(label, probabilities, weight=None):
    """Sum of the largest probabilities, and their number."""
    weight = np.ones(len(label)) if weight is None else weight
    xp = probabilities.__array_namespace__()
    return xp.stack([(probabilities.max(axis=1) * weight).sum(), weight.sum()])


@pytest.fixture
def kappa(monkeypatch) -> Metric:
    added = Metric("kappa", "Cohen's κ", kappa_from_confusion, scale="difference", selectable=True, tested=True, primary=True)
    monkeypatch.setattr(metrics, "METRICS", [*metrics.METRICS, added])
    return added


def summary() -> RunResults:
    return summarise(some_predictions(seeds=(0, 1)), FACTS, num_resamples=50)


def test_it_is_in_results_and_schema(kappa):
    results, data = summary(), some_predictions(seeds=(0, 1))
    content = json.loads(json.dumps(results.to_json()))
    assert content["metrics"]["kappa"]["pooled"] == pytest.approx(cohen_kappa_score(data.label, data.predicted))
    assert "kappa" in content["per_fold"][0] and "kappa" in content["per_seed"][0] and "kappa" in content["per_speaker"]["s0"]
    assert Draft202012Validator(results_schema()).is_valid(content)
    content["metrics"]["kappa"]["pooled"] = -0.5  # it may be negative, shares may not
    assert Draft202012Validator(results_schema()).is_valid(content)
    del content["metrics"]["kappa"]
    assert not Draft202012Validator(results_schema()).is_valid(content)
    assert RunResults.from_json(json.loads(json.dumps(results.to_json()))) == results


def test_it_is_in_every_table(kappa):
    results = summary()
    assert "Cohen's κ" in format_table(results)
    tables = {table.name: table for table in run_tables(results, [])}
    assert all("Cohen's κ" in tables[name].header for name in ("published", "results", "folds", "speakers"))
    assert [gap.metric for gap in protocol_gaps({"a": some_predictions(), "b": some_predictions(draw=1)})] == ["uar", "war", "kappa"]


def test_it_is_tested_between_systems(kappa):
    found, _ = measure(*align([entry("a", 2.0), entry("b", draw=1)]), num_resamples=50)
    assert {"difference", "ci95", "p", "p_holm"} == found["pairs"][0]["kappa"].keys() == found["pairs"][0]["folds"]["kappa"].keys()
    tables = {table.name: table for table in comparison_tables(found)}
    assert "Cohen's κ" in tables["systems"].header and "Δ Cohen's κ" in tables["pairs"].header and "Δ Cohen's κ" in tables["folds"].header


def validation(metric: str) -> dict:
    """Metrics of three clips, the last two examples being padding."""
    recipe = Recipe(num_classes=2, num_clips=4, metric=metric, streams=(StreamRecipe(name="audio", key_index=0),), **SETTINGS)
    data = {"clip": jnp.asarray([0, 1, 2]), "label": jnp.asarray([0, 1, 1])}
    index = jnp.asarray([0, 1, 2, 0, 0])
    return validation_metrics(recipe, data, jnp.asarray([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])[index], index, jnp.int32(3))


def test_it_selects_epochs(kappa):
    assert float(validation("kappa")["kappa"]) == pytest.approx(cohen_kappa_score([0, 1, 1], [0, 1, 0]))


def test_a_metric_of_probabilities_selects_epochs(monkeypatch):
    added = Metric("confidence", "confidence", None, FromProbabilities(confidence_sums, metrics.mean_from_sums), selectable=True)
    monkeypatch.setattr(metrics, "METRICS", [*metrics.METRICS, added])
    assert float(validation("confidence")["confidence"]) == pytest.approx((0.9 + 0.8 + 0.7) / 3)
    assert summary().metrics["confidence"].pooled == pytest.approx(some_predictions(seeds=(0, 1)).probabilities.max(axis=1).mean())


def test_a_metric_that_is_not_selectable_is_refused():
    with pytest.raises(ValueError, match=r"protocol.metric must be one of .*'macro_f1'.*, got 'ece'"):
        validation("ece")


def test_a_metric_is_of_counts_or_of_probabilities():
    with pytest.raises(ValueError, match="expected one of from_confusion, from_probabilities, from_ratings"):
        Metric("nothing", "nothing")
    with pytest.raises(ValueError, match="set from_confusion"):
        Metric("ece", "ECE", None, metrics.metric_named("ece").from_probabilities, tested=True)
    with pytest.raises(ValueError, match=r"expected a metric among uar, war, .*got 'auc'"):
        metrics.metric_named("auc")
