"""The results do not depend on the execution of trials and steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_grid import NOTHING, RECIPE, changed, make_data, make_net, make_trial_inputs, program, run

from avemo_jax.training import steps
from avemo_jax.training.execution import Execution, choose_execution


def assert_trees_close(first, second, tolerance=2e-5):
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def assert_trees_equal(first, second):
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def reference():
    _, inputs = make_trial_inputs()
    return run(program("loop_scan"), inputs)


@pytest.mark.parametrize("execution", ["vmap_scan", "vmap_python", "loop_python"])
def test_every_execution_gives_the_same_numbers(execution, reference):
    _, inputs = make_trial_inputs()
    states, metrics = run(program(execution), inputs)
    assert_trees_close(states, reference[0])
    assert_trees_close(metrics, reference[1])


def test_a_trial_gives_the_same_results_alone_and_together_with_longer_ones(reference):
    _, inputs = make_trial_inputs()
    # The first fold trains on 30 examples, so alone it needs 4 steps where the grid has 5.
    alone = jax.tree.map(lambda leaf: leaf, inputs[0]).replace(
        train_index=inputs[0].train_index[:30], select_index=inputs[0].select_index[:10]
    )
    states, _ = run(program("loop_scan", num_steps=4), [alone])
    assert_trees_close(states[0], reference[0][0])
    assert states[0].learner.step == reference[0][0].learner.step == 4 * 3


def test_training_learns(reference):
    losses = np.asarray([[trial.train_loss for trial in epoch] for epoch in reference[1]])
    assert (losses[-1] < losses[0]).all()


def test_the_same_step_under_pmap_gives_the_same_numbers(reference):
    _, inputs = make_trial_inputs()
    data, net = make_data(), make_net()
    states = program().init([inputs[0]], [NOTHING])
    batch = steps.gather(data, inputs[0].train_index[:8], jnp.ones(8, bool))

    def step(learner):
        return steps.train_step(net, RECIPE, learner, states[0].scaler, batch, inputs[0].hyper, 0.02)

    one = jax.jit(step)(states[0].learner)
    stacked = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], states[0].learner)
    many = jax.pmap(step, devices=jax.devices()[:1])(stacked)
    assert_trees_close(one, jax.tree.map(lambda leaf: leaf[0], many), tolerance=1e-6)


def test_order_is_a_permutation_that_padding_does_not_change():
    index = np.arange(100, 120, dtype=np.int32)
    order, real = steps.epoch_order(np.int32(0), np.int32(2), index, np.int32(20), 24)
    assert sorted(np.asarray(order)[:20]) == list(range(100, 120)) and list(np.asarray(real)) == [True] * 20 + [False] * 4
    longer, _ = steps.epoch_order(np.int32(0), np.int32(2), np.pad(index, (0, 13)), np.int32(20), 40)
    np.testing.assert_array_equal(order[:20], longer[:20])
    other_epoch, _ = steps.epoch_order(np.int32(0), np.int32(3), index, np.int32(20), 24)
    other_seed, _ = steps.epoch_order(np.int32(1), np.int32(2), index, np.int32(20), 24)
    assert (order != other_epoch).any() and (order != other_seed).any()


def test_nothing_but_the_training_part_reaches_the_weights():
    _, inputs = make_trial_inputs()
    data = make_data()
    outside = np.setdiff1d(np.arange(50), inputs[0].train_index[:30])
    poisoned = dict(data, audio=data["audio"].copy())
    poisoned["audio"][outside] = np.nan
    clean, dirty = (run(program(data=one), inputs[:1], 1)[0][0] for one in (data, poisoned))
    assert_trees_equal(clean.scaler, dirty.scaler)
    assert_trees_equal(clean.learner, dirty.learner)


def test_a_loss_that_is_not_finite_ends_that_trial_alone(reference):
    _, inputs = make_trial_inputs()
    inputs[2] = inputs[2].replace(hyper=inputs[2].hyper.replace(learning_rate=np.float32(np.inf)))
    states, metrics = run(program("vmap_scan"), inputs)
    assert [bool(state.active) for state in states] == [True, True, False, True]
    assert [bool(record.failed) for record in metrics[-1]] == [False, False, True, False]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states[2].learner.params))
    assert_trees_close(states[3], reference[0][3])


def test_early_stopping_keeps_the_best_weights():
    _, inputs = make_trial_inputs()
    recipe = changed(early_stop_patience_epochs=1, metric="loss")
    inputs = [one.replace(hyper=one.hyper.replace(learning_rate=np.float32(3.0))) for one in inputs[:1]]
    states, metrics = run(program(recipe=recipe), inputs, num_epochs=6)
    losses = [float(epoch[0].val_loss) for epoch in metrics if epoch[0].active]
    assert len(losses) < 6 and not states[0].active
    assert int(states[0].best.epoch) == int(np.argmin(losses)) == len(losses) - 2
    assert float(states[0].best.loss) == pytest.approx(min(losses))


def test_frozen_parameters_do_not_change_and_the_average_lags():
    _, inputs = make_trial_inputs()
    before = program().init(inputs[:1], [NOTHING])[0].learner.params
    states, _ = run(program(recipe=changed(frozen=(("audio",),))), inputs[:1], 1)
    assert_trees_equal(before["audio"], states[0].learner.params["audio"])
    assert np.abs(before["audio_head"]["classes"]["kernel"] - states[0].learner.params["audio_head"]["classes"]["kernel"]).max() > 0
    averaged, _ = run(program(recipe=changed(ema_decay=0.5)), inputs[:1], 1)
    assert_trees_equal(averaged[0].best.params, averaged[0].learner.average)


def test_execution_is_chosen_by_backend_and_network():
    assert choose_execution("auto", backend="gpu", convolves=True) == Execution("vmap", "scan")
    assert choose_execution("auto", backend="cpu", convolves=True) == Execution("loop", "python")
    assert choose_execution("vmap_python", backend="cpu", convolves=False) == Execution("vmap", "python")
    with pytest.raises(ValueError, match="vmap_sideways"):
        choose_execution("vmap_sideways", backend="cpu", convolves=False)


def test_validation_counts_clips_not_segments():
    """Three clips of two classes; the probabilities of a clip's segments are averaged before clips are counted."""
    recipe = changed(num_classes=2, num_clips=4)
    data = {"clip": np.asarray([0, 0, 1, 3]), "label": np.asarray([0, 0, 1, 0])}
    probabilities = np.asarray([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8], [1.0, 0.0]], np.float32)
    index = np.asarray([0, 1, 2, 3, 0], np.int32)  # the last one is padding
    metrics = steps.validation_metrics(recipe, data, probabilities, index, np.int32(4))
    assert float(metrics["war"]) == pytest.approx(1 / 3)  # clip 0 right (0.6), clip 1 and clip 3 wrong
    assert float(metrics["uar"]) == pytest.approx(1 / 4)  # recalls 1/2 and 0
    assert float(metrics["loss"]) == pytest.approx(-np.log([0.6, 0.4, 0.2]).mean(), rel=1e-5)


def test_of_epochs_with_equal_scores_the_one_with_the_lowest_loss_is_kept(reference):
    """All predictions are right in three epochs; only their confidence differs."""
    data, inputs = make_data(), make_trial_inputs()[1][0]
    state = reference[0][0]
    state = state.replace(best=state.best.replace(metric=-np.inf, loss=np.inf), epoch=np.int32(0), active=np.bool_(True))
    right = np.eye(4, dtype=np.float32)[data["label"][inputs.select_index]]
    found = []
    for confidence in (0.6, 0.9, 0.7):
        probabilities = confidence * right + (1 - confidence) / 4
        state, _ = steps.end_epoch(RECIPE, data, inputs, state, state.learner, probabilities, steps.no_sums(RECIPE))
        found.append((int(state.best.epoch), float(state.best.metric)))
    assert found == [(0, 1.0), (1, 1.0), (1, 1.0)]


def test_the_last_epoch_is_kept_where_nothing_is_selected(reference):
    data, inputs = make_data(), make_trial_inputs()[1][0]
    state = reference[0][0]
    state = state.replace(best=state.best.replace(metric=1.0, loss=0.0, epoch=np.int32(0)), epoch=np.int32(1), active=np.bool_(True))
    poor = np.full((len(inputs.select_index), 4), 0.25, np.float32)
    for keeps_last, epoch in ((False, 0), (True, 1)):
        ended, _ = steps.end_epoch(changed(keeps_last=keeps_last), data, inputs, state, state.learner, poor, steps.no_sums(RECIPE))
        assert int(ended.best.epoch) == epoch


def test_training_accuracy_is_of_the_predictions_of_the_steps(reference):
    """Of three examples of class 0 and one of class 2, three are predicted correctly; padding does not count."""
    output = jnp.asarray(np.eye(4)[[0, 0, 1, 2, 3]], jnp.float32)
    hits = steps._hits(RECIPE, output, jnp.asarray([0, 0, 0, 2, 3]), jnp.asarray([1.0, 1.0, 1.0, 1.0, 0.0]))
    data, inputs, state = make_data(), make_trial_inputs()[1][0], reference[0][0]
    uniform = jnp.full((len(inputs.select_index), 4), 0.25)
    sums = jnp.concatenate([jnp.asarray([6.0, 4.0]), hits])
    _, metrics = steps.end_epoch(RECIPE, data, inputs, state, state.learner, uniform, sums)
    assert float(metrics.train_loss) == 1.5 and float(metrics.train_war) == 0.75
    assert float(metrics.train_uar) == pytest.approx((2 / 3 + 1) / 2)
    trained = [trial for trial in reference[1][-1] if trial.active]
    assert trained and all(0.25 < trial.train_war <= 1 and trial.train_war > reference[1][0][0].train_war - 0.1 for trial in trained)
