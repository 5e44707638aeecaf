"""Length buckets: batches of clips of similar length, with the same examples and the same results."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_grid import NOTHING, NUM_CLIPS, NUM_STEPS, changed, make_data, make_net, make_trial_inputs, program, run

from avemo_jax.training import steps
from avemo_jax.training.lengths import bucket_of, bucketed_epoch_order, by_length, length_limits

LIMITS = (("audio", (4, 5, NUM_STEPS)),)


def mask_of(*lengths: int, num_steps: int = 10) -> np.ndarray:
    return np.arange(num_steps) < np.array(lengths)[:, None]


def test_classes_have_equally_many_examples_and_the_last_the_full_length():
    def limits(*lengths, num_buckets):
        return length_limits({"audio": np.array(lengths)}, {"audio": 10}, num_buckets)

    assert limits(1, 2, 3, 4, 5, 9, num_buckets=3) == (("audio", (3, 5, 10)),)
    assert limits(2, 2, 2, 2, 10, num_buckets=4) == (("audio", (2, 10)),)
    assert limits(10, 10, 10, num_buckets=4) == limits(1, 5, 9, num_buckets=1) == ()
    with pytest.raises(ValueError, match="at least 1, got 0"):
        limits(1, 2, num_buckets=0)


def test_an_example_is_as_long_as_its_longest_stream():
    lengths = {"audio": (2, 2, 9), "video": (1, 4, 1)}
    limits = length_limits({name: np.array(own) for name, own in lengths.items()}, {"audio": 10, "video": 4}, 3)
    assert limits == (("audio", (9, 10)), ("video", (4, 4)))
    masks = {"audio_mask": mask_of(*lengths["audio"]), "video_mask": mask_of(*lengths["video"], num_steps=4)}
    found = bucket_of((("audio", (2, 9, 10)), ("video", (1, 3, 4))), masks)
    assert found.tolist() == [0, 2, 1]


def test_a_gap_inside_counts_as_length():
    mask = np.array([[True, False, False, True, False]])
    assert bucket_of((("audio", (3, 4, 5)),), {"audio_mask": jnp.asarray(mask)}).tolist() == [1]


@pytest.mark.parametrize(
    ("lengths", "real", "expected"), [((1, 2), (True, True), 3), ((1, 5), (True, True), 6), ((1, 5), (True, False), 3)]
)
def test_a_batch_is_cut_after_its_longest_real_example(lengths, real, expected):
    batch = {"audio": jnp.ones((2, 8, 3)), "audio_mask": jnp.asarray(mask_of(*lengths, num_steps=8)), "mask": jnp.asarray(real)}
    limits = (("audio", (3, 6, 8)),)
    assert int(jax.jit(lambda batch: by_length(limits, batch, lambda shown: jnp.int32(shown["audio"].shape[1])))(batch)) == expected


def order_of(epoch: int, *, padding: int = 0, num_batches: int = 7):
    data, recipe = make_data(), changed(length_limits=LIMITS)
    index = np.pad(np.arange(NUM_CLIPS, dtype=np.int32), (0, padding))
    order, real = steps.epoch_order(np.int32(0), np.int32(epoch), index, np.int32(NUM_CLIPS), num_batches * recipe.batch_size)
    return bucketed_epoch_order(recipe, data, np.int32(0), np.int32(epoch), order, real)


def test_batches_are_of_one_class_except_at_the_limits_of_classes():
    order, real = order_of(0)
    assert sorted(np.asarray(order)[np.asarray(real)]) == list(range(NUM_CLIPS))
    bucket = np.asarray(bucket_of(LIMITS, {"audio_mask": jnp.asarray(make_data()["audio_mask"])}))
    classes = [set(bucket[own[own_real]]) for own, own_real in zip(np.reshape(order, (-1, 8)), np.reshape(real, (-1, 8)), strict=True)]
    assert len(set(bucket)) == 3 and sum(len(one) > 1 for one in classes) <= 2
    assert [max(one) for one in classes] != sorted(max(one) for one in classes)  # batches are shuffled too


def test_the_order_depends_on_seed_and_epoch_and_not_on_padding():
    order, real = order_of(0)
    longer, longer_real = order_of(0, padding=9, num_batches=9)
    np.testing.assert_array_equal(order, longer[: len(order)])
    assert np.asarray(real).sum() == np.asarray(longer_real).sum() == NUM_CLIPS and not np.asarray(longer_real)[56:].any()
    assert (np.asarray(order_of(1)[0]) != np.asarray(order)).any()


def test_a_step_on_a_cut_batch_equals_one_on_the_whole_batch():
    data, (_, inputs) = make_data(), make_trial_inputs()
    one = jax.tree.map(np.asarray, inputs[0])
    # Dropout is off, because its random draws depend on the number of steps.
    one = one.replace(hyper=dataclasses.replace(one.hyper, dropout_rate=np.float32(0)))
    short = np.flatnonzero(data["audio_mask"].sum(axis=1) <= 5)[:8]
    found = []
    for limits in ((), LIMITS):
        recipe = changed(length_limits=limits)
        state = steps.init_trial(make_net(), recipe, data, one, NOTHING)
        batch = steps.gather(data, short, jnp.ones(8, bool))
        found.append(
            jax.jit(steps.train_step, static_argnums=(0, 1))(make_net(), recipe, state.learner, state.scaler, batch, one.hyper, 0.02)
        )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *found)


@pytest.mark.long
def test_every_execution_gives_the_same_numbers():
    _, inputs = make_trial_inputs()
    recipe = changed(length_limits=LIMITS)
    expected, *others = (run(program(one, recipe=recipe), inputs, 1) for one in ("loop_scan", "vmap_scan", "loop_python"))
    for found in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


def test_probabilities_are_in_the_order_of_the_index():
    _, inputs = make_trial_inputs()
    whole, cut = program(), program(recipe=changed(length_limits=LIMITS))
    lanes = whole.lanes(inputs)
    states = whole.init(lanes, whole.lanes([NOTHING] * len(inputs)))
    index = [np.random.default_rng(0).permutation(NUM_CLIPS).astype(np.int32)] * len(inputs)
    for one, other in zip(whole.predict(states, index), cut.predict(states, index), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
