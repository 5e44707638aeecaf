"""Dimensions in training: their scaler, their loss, and a step, in which clips without ratings have no part."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_grid import HYPER, NOTHING, NUM_CLASSES, NUM_CLIPS, RECIPE, make_data

from avemo_jax.models.emotion_net import BranchSpec, EmotionNet
from avemo_jax.training import steps
from avemo_jax.training.dimensions import dimension_loss, fit_ratings, targets_of, with_values
from avemo_jax.training.ridge import fit_ridge_rating
from avemo_jax.training.trials import make_inputs, make_trials

NET = EmotionNet(NUM_CLASSES, {"audio": BranchSpec(context="none", pooling="mean", dense_units=(4,))}, num_dimensions=2)
TWO = dataclasses.replace(RECIPE, num_dimensions=2, metric="ccc", use_mixup=True)


def ratings_for(data) -> np.ndarray:
    """Ratings in two dimensions that follow the class; a third of the clips have none in the first."""
    found = np.stack([data["label"] * 1.0 + 1, 5.0 - data["label"]], axis=1)
    found[::3, 0] = np.nan
    return found


def test_ratings_are_standardised_with_the_rated_clips_of_the_training_part_alone():
    ratings = np.array([[1.0], [3.0], [np.nan], [100.0]])
    found = fit_ratings(ratings, np.array([0, 1, 2]))
    assert (found.mean, found.deviation) == (2, 1)
    np.testing.assert_array_equal(found.of_clip[:, 0], np.float32([-1, 1, np.nan, 98]))
    with pytest.raises(ValueError, match="two different ratings or more, found 1 rated clips of 2"):
        fit_ratings(ratings, np.array([0, 2]))


def test_the_loss_counts_rated_clips_of_the_batch_alone():
    values, rating = jnp.array([[2.0], [3.0], [4.0], [9.0], [7.0]]), jnp.array([[1.0], [2.0], [3.0], [jnp.nan], [0.0]])
    mask = jnp.array([1.0, 1, 1, 1, 0])
    assert dimension_loss("ccc", values, targets_of(rating), mask) == pytest.approx(1 - 4 / 7, abs=1e-6)
    assert dimension_loss("mse", values, targets_of(rating), mask) == pytest.approx(1)
    none = jnp.full((5, 1), jnp.nan)
    for kind in ("ccc", "mse"):
        value, gradient = jax.value_and_grad(lambda own, kind=kind: dimension_loss(kind, own, targets_of(none), mask))(values)
        assert value == 0 and not gradient.any()


def test_values_return_to_the_units_of_the_scale():
    scaler = {"rating": {"mean": jnp.array([3.0]), "deviation": jnp.array([2.0])}}
    np.testing.assert_allclose(with_values(jnp.array([[0.0, 0.0, -1.0]]), 2, scaler), [[0.5, 0.5, 1.0]])


def trained(recipe, ratings, mixup_alpha: float = 0.0):
    """One step from the same weights, with a batch of eight clips."""
    data = make_data()
    (trial,) = make_trials(num_folds=1, seeds=(3,), hyper=HYPER | {"mixup_alpha": mixup_alpha, "dropout_rate": 0.0}, sweep={})
    rows = np.arange(NUM_CLIPS)
    fitted = fit_ratings(ratings, rows[:30])
    (inputs,) = make_inputs([trial], [(rows[:30], rows[30:])], [fitted])

    @jax.jit
    def step():
        state = steps.init_trial(NET, recipe, data, inputs, NOTHING)
        batch = steps.gather(data, rows[:8], np.ones(8, bool)) | {"rating": fitted.of_clip[:8]}
        learner, sums = steps.train_step(NET, recipe, state.learner, state.scaler, batch, inputs.hyper, jnp.float32(0.01))
        return state, learner, sums[0]

    return *step(), inputs, data


@pytest.mark.parametrize("mixup_alpha", [0.0, 0.4])
def test_a_step_with_unrated_clips_is_finite_and_trains_both_heads(mixup_alpha):
    state, learner, total, inputs, data = trained(TWO, ratings_for(make_data()), mixup_alpha)
    assert np.isfinite(total) and not learner.failed
    before, after = (one.params["audio_head"] for one in (state.learner, learner))
    assert all((before[head]["kernel"] != after[head]["kernel"]).any() for head in ("classes", "dimensions"))
    index = inputs.select_index
    predict = jax.jit(lambda variables, scaler: steps.probabilities(NET, TWO.streams, variables, scaler, data, index))
    predicted = predict(learner.validated_variables, state.scaler)
    assert predicted.shape == (20, NUM_CLASSES + 2)
    metrics = steps.validation_metrics(TWO, data, predicted, index, inputs.select_count, inputs.ratings)
    rating, value = ratings_for(data)[30:], np.asarray(predicted[:, NUM_CLASSES:], float)
    of_each = []
    for column in range(2):
        own = ~np.isnan(rating[:, column])
        first, second = rating[own, column], value[own, column]
        covariance = np.mean((first - first.mean()) * (second - second.mean()))
        of_each.append(2 * covariance / (first.var() + second.var() + (first.mean() - second.mean()) ** 2))
    assert metrics["ccc"] == pytest.approx(np.mean(of_each), abs=1e-5)


def test_without_weight_the_classes_are_trained_as_without_dimensions():
    ratings = ratings_for(make_data())
    off = dataclasses.replace(TWO, dimension_weight=0.0, use_mixup=False)
    _, joint, _, _, _ = trained(off, ratings)
    alone = dataclasses.replace(RECIPE, num_dimensions=0)
    data = make_data()
    (trial,) = make_trials(num_folds=1, seeds=(3,), hyper=HYPER | {"dropout_rate": 0.0}, sweep={})
    rows = np.arange(NUM_CLIPS)
    (inputs,) = make_inputs([trial], [(rows[:30], rows[30:])])
    net = dataclasses.replace(NET, num_dimensions=0)

    @jax.jit
    def step():
        state = steps.init_trial(net, alone, data, inputs, NOTHING)
        batch = steps.gather(data, rows[:8], np.ones(8, bool))
        return steps.train_step(net, alone, state.learner, state.scaler, batch, inputs.hyper, jnp.float32(0.01))[0]

    learner = step()
    for path in (("audio", "dense0"), ("audio_head", "classes")):
        np.testing.assert_allclose(joint.params[path[0]][path[1]]["kernel"], learner.params[path[0]][path[1]]["kernel"], rtol=1e-6)


def test_ridge_regression_finds_a_linear_rating_and_ignores_unrated_clips():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 3))
    rating = 3 + features @ [0.5, -0.2, 0.0]
    speaker = np.array([f"s{index % 6}" for index in range(60)])
    unrated = rating.copy()
    unrated[:5] = np.nan
    fit = dict(speaker=speaker, train=np.arange(40), validation=np.arange(40, 50))
    predict = fit_ridge_rating(features, unrated, **fit)
    assert np.corrcoef(predict(features[50:]), rating[50:])[0, 1] > 0.95
    changed = features.copy()
    changed[:5] = 100.0
    np.testing.assert_array_equal(fit_ridge_rating(changed, unrated, **fit)(features[50:]), predict(features[50:]))
    with pytest.raises(ValueError, match="no training clip has a rating"):
        fit_ridge_rating(features, np.full(60, np.nan), **fit)
