"""The pure steps: frozen parameters do not change, frozen branches keep their statistics, published weights are the initial ones."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_grid import NOTHING, NUM_CLASSES, changed, make_data, make_trial_inputs, stream_recipes

from avemo_jax.models.emotion_net import BranchSpec, EmotionNet
from avemo_jax.models.fusion import FusionSpec
from avemo_jax.training import steps
from avemo_jax.training.augment import Augmentation

# A convolution over time is followed by batch norm and dropout, which behave differently in training.
BRANCH = BranchSpec(time_conv_channels=3, time_conv_width_steps=1, context="none", context_dropout=True, pooling="mean", dense_units=(4,))
TWO = EmotionNet(NUM_CLASSES, {"audio": BRANCH, "video": BRANCH}, FusionSpec(dense_units=(3,)))
BOTH = stream_recipes("audio", "video")


def two_streams() -> dict[str, np.ndarray]:
    data = make_data()
    return data | {"video": data["audio"][:, :, ::-1].copy(), "video_mask": data["audio_mask"]}


def trained(net: EmotionNet, recipe, *, warm=NOTHING, weight_decay: float = 0.5):
    """Return a learner before and after each of three steps on one batch."""
    data, inputs = two_streams(), make_trial_inputs()[1][0]
    hyper = dataclasses.replace(inputs.hyper, weight_decay=np.float32(weight_decay))
    start = jax.jit(lambda: steps.init_trial(net, recipe, data, dataclasses.replace(inputs, hyper=hyper), warm))()
    batch = steps.gather(jax.tree.map(jnp.asarray, data), jnp.arange(8), jnp.ones(8, bool))
    step = jax.jit(lambda learner: steps.train_step(net, recipe, learner, start.scaler, batch, hyper, jnp.float32(0.05))[0])
    learners = [start.learner]
    for _ in range(3):
        learners.append(step(learners[-1]))
    assert not learners[-1].failed and learners[-1].step == 3
    return learners


def moved(before, after) -> set[str]:
    """Return the paths of the leaves that changed."""
    pairs = zip(jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True)
    return {jax.tree_util.keystr(path, simple=True, separator="/") for (path, leaf), other in pairs if (leaf != other).any()}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_frozen_parameters_do_not_change_by_weight_decay_or_averaging(optimizer):
    recipe = changed(optimizer=optimizer, frozen=(("audio",), ("video", "context")), streams=BOTH, ema_decay=0.7)
    before, *between, after = trained(TWO, recipe)
    # The decay is small at first, so that the average leaves the random weights behind, whatever the length of the run.
    average = before.params
    for decay, learner in zip((1 / 10, 2 / 11, 3 / 12), [*between, after], strict=True):
        average = jax.tree.map(lambda old, new, decay=decay: decay * old + (1 - decay) * new, average, learner.params)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6), average, after.average)
    for kind in ("params", "average"):
        found = moved(getattr(before, kind), getattr(after, kind))
        assert {path.split("/")[0] for path in found} == {"video", "fusion", "head"}
        assert {path for path in found if path.startswith("video/")} == {"video/dense0/kernel", "video/dense0/bias"}


def test_a_frozen_branch_keeps_its_statistics_and_its_weights():
    frozen = dataclasses.replace(TWO, frozen=("audio", "video"))
    recipe = changed(frozen=(("audio",), ("video",)), streams=BOTH)
    before, *_, after = trained(frozen, recipe)

    assert {path.split("/")[0] for path in moved(before.params, after.params)} == {"fusion", "head"}
    assert {path.split("/")[0] for path in moved(before.batch_stats, after.batch_stats)} == {"fusion"}
    # with frozen parameters alone, the statistics of the branch would still change
    *_, loose = trained(TWO, recipe)
    assert {path.split("/")[0] for path in moved(before.batch_stats, loose.batch_stats)} == {"audio", "video", "fusion"}


def test_published_weights_replace_the_random_ones():
    kernel = np.full((3, 4), 7.0, np.float32)
    published = {
        "params": {"audio": {"dense0": {"kernel": kernel}}},
        "batch_stats": {"audio": {"context": {"time_conv": {"norm": {"mean": np.full(3, 5.0, np.float32)}}}}},
    }
    data, inputs = two_streams(), make_trial_inputs()[1][0]
    recipe = changed(streams=BOTH, ema_decay=0.9)
    start = jax.jit(lambda warm: steps.init_trial(TWO, recipe, data, inputs, warm))
    fresh, laid = start(NOTHING), start(NOTHING | {"published": published})
    for one, other in ((fresh.learner, laid.learner), (fresh.best, laid.best)):
        assert moved(one.params, other.params) == {"audio/dense0/kernel"}
        assert moved(one.batch_stats, other.batch_stats) == {"audio/context/time_conv/norm/mean"}
    np.testing.assert_array_equal(laid.learner.average["audio"]["dense0"]["kernel"], kernel)
    with pytest.raises(ValueError, match=r"audio/dense0/kernel have shape \(2, 4\), but the network has shape \(3, 4\)"):
        start(NOTHING | {"published": {"params": {"audio": {"dense0": {"kernel": kernel[:2]}}}}})


def test_a_stream_is_augmented_alike_alone_and_with_others():
    """The random key depends on the stream's position in the system, not in the stage."""
    batch = steps.gather(jax.tree.map(jnp.asarray, two_streams()), jnp.arange(8), jnp.ones(8, bool))
    audio, video = stream_recipes("audio", "video", standardize="none", augmentation=Augmentation(noise_deviation=1.0))
    key = jax.random.key(0)
    both = steps.augmented(changed(streams=(audio, video)), {}, batch, key)
    alone = steps.augmented(changed(streams=(video,)), {}, batch, key)
    np.testing.assert_array_equal(alone["video"], both["video"])
    np.testing.assert_array_equal(alone["audio"], batch["audio"])  # not a stream of the stage
    noise = {name: both[name] - batch[name] for name in ("audio", "video")}
    assert (noise["audio"] != noise["video"]).any()


def test_recipes_of_streams_are_checked():
    with pytest.raises(ValueError, match=r"streams.text.standardize must be one of .* got 'rows'"):
        stream_recipes("text", standardize="rows")
    with pytest.raises(ValueError, match=r"each with a key_index of its own, got \[0, 0\]"):
        changed(streams=stream_recipes("text") + stream_recipes("audio"))


def test_a_batch_masks_padding_and_examples_without_a_real_step():
    data = make_data() | {"usable": np.arange(50) != 2}
    batch = steps.gather(jax.tree.map(jnp.asarray, data), jnp.arange(4), jnp.array([True, True, True, False]))
    assert batch["mask"].tolist() == [True, True, False, False] and "usable" not in batch


def test_stream_dropout_changes_no_other_draw_and_a_rate_of_zero_nothing():
    inputs = make_trial_inputs()[1][0]
    # SGD, since Adam scales a gradient that is zero but for rounding, of a bias before batch norm, up to the learning rate.
    start = jax.jit(lambda: steps.init_trial(TWO, changed(streams=BOTH, optimizer="sgd"), two_streams(), inputs, NOTHING))()

    def after_a_step(recipe):
        batch = steps.gather(jax.tree.map(jnp.asarray, two_streams()), jnp.arange(8), jnp.ones(8, bool))

        @jax.jit
        def step(rate):
            hyper = dataclasses.replace(inputs.hyper, stream_dropout_rate=rate)
            return steps.train_step(TWO, recipe, start.learner, start.scaler, batch, hyper, jnp.float32(0.05))[0].params

        return step

    plain = after_a_step(changed(streams=BOTH, optimizer="sgd"))(jnp.float32(0.6))  # not compiled, so without effect
    dropping = after_a_step(changed(streams=BOTH, optimizer="sgd", use_stream_dropout=True))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-6), dropping(jnp.float32(0.0)), plain)
    assert {path.split("/")[0] for path in moved(plain, dropping(jnp.float32(0.6)))} == {"audio", "video", "fusion", "head"}
