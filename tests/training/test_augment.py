"""Augmentation, cepstra and standardisation: what they change, and what they must leave alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.fft import dct

from avemo_jax.training.augment import Augmentation, disturb_features, disturb_view, mixup
from avemo_jax.training.frontend import cepstra
from avemo_jax.training.scaler import fit_scaler, standardize

KEY = jax.random.key(0)
MASK = jnp.arange(12) < jnp.asarray([12, 8, 0])[:, None]
VALUES = jnp.where(MASK[:, :, None], jnp.asarray(np.random.default_rng(0).normal(size=(3, 12, 10)), jnp.float32), 0.0)


def test_zeros_leave_everything_alone():
    values, mask = disturb_view(VALUES, MASK, KEY, Augmentation())
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(mask, MASK)
    np.testing.assert_array_equal(disturb_features(VALUES, MASK, KEY, Augmentation()), VALUES)


@pytest.mark.parametrize(
    "settings",
    [
        Augmentation(noise_deviation=0.5),
        Augmentation(shift_deviation=0.5),
        Augmentation(num_time_masks=2, max_time_mask=0.4),
        Augmentation(num_feature_masks=2, max_feature_mask=0.4),
    ],
)
def test_features_are_disturbed_in_real_steps_alone(settings):
    disturbed = disturb_features(VALUES, MASK, KEY, settings)
    assert (disturbed != VALUES).any() and np.isfinite(disturbed).all()
    np.testing.assert_array_equal(disturbed[~MASK], 0.0)
    offset = (disturbed - VALUES)[0]
    if settings.shift_deviation:  # one offset for all steps of a clip
        np.testing.assert_allclose(offset, jnp.broadcast_to(offset[:1], offset.shape), atol=1e-6)
    if settings.num_time_masks:
        hidden = (disturbed[0] == 0).all(axis=1)
        assert 0 < hidden.sum() <= 2 * 0.4 * 12 + 2
    if settings.num_feature_masks:
        assert 0 < (disturbed[0] == 0).all(axis=0).sum() <= 2 * 0.4 * 10 + 2


def test_stretch_keeps_ends_and_content_and_changes_length():
    ramp = jnp.where(MASK[:, :, None], jnp.arange(12.0)[None, :, None] * jnp.ones((3, 12, 2)), 0.0)
    lengths = set()
    for seed in range(8):
        values, mask = disturb_view(ramp, MASK, jax.random.key(seed), Augmentation(max_stretch=0.5))
        length = int(mask[1].sum())
        lengths.add(length)
        np.testing.assert_allclose(values[1, :length, 0], np.linspace(0, 7, length), atol=1e-5)
        assert not mask[2].any() and not values[2].any()
    assert len(lengths) > 2 and min(lengths) < 8 < max(lengths)


def test_warp_reads_other_bands():
    bands = jnp.broadcast_to(jnp.arange(10.0), (1, 3, 10))
    values, mask = disturb_view(bands, jnp.ones((1, 3), bool), KEY, Augmentation(max_warp=0.05))
    factor, offset = jax.random.uniform(jax.random.split(KEY)[1], (2, 1, 1), minval=-0.05, maxval=0.05)
    expected = np.clip(np.arange(10) * (1 + float(factor[0, 0])) + 20 * float(offset[0, 0]), 0, 9)
    np.testing.assert_allclose(values[0], np.broadcast_to(expected, (3, 10)), atol=1e-5)
    assert mask.all()


def test_mixup_blends_inputs_and_targets_alike_and_never_padding():
    batch = {
        "audio": jnp.asarray([[[1.0]], [[2.0]], [[9.0]]]),
        "audio_mask": jnp.ones((3, 1), bool),
        "mask": jnp.asarray([True, True, False]),
    }
    target = jnp.eye(3)
    same, same_target = mixup(batch, target, jnp.float32(0.0), KEY)
    np.testing.assert_array_equal(same["audio"], batch["audio"])
    np.testing.assert_array_equal(same_target, target)
    blended = set()
    for seed in range(30):
        mixed, mixed_target = mixup(batch, target, jnp.float32(0.4), jax.random.key(seed))
        share = float(mixed_target[0, 0])
        assert mixed_target[0, 2] == mixed_target[1, 2] == 0
        np.testing.assert_allclose(mixed["audio"][0, 0, 0], share * 1.0 + (1 - share) * 2.0, rtol=1e-5)
        blended.add(round(share, 3))
    assert len(blended) > 2 and min(blended) >= 0.5


def test_cepstra_are_the_orthonormal_cosine_transform():
    np.testing.assert_allclose(cepstra(VALUES, 4), dct(np.asarray(VALUES), norm="ortho", axis=-1)[..., :4], atol=1e-5)
    with pytest.raises(ValueError, match="10 bands"):
        cepstra(VALUES, 11)


def test_scaler_sees_real_steps_of_the_training_part_alone():
    weight = jnp.asarray([1.0, 1.0, 0.0])
    scaler = fit_scaler(VALUES, MASK, weight)
    real = np.asarray(VALUES)[np.asarray(MASK)]
    np.testing.assert_allclose(scaler["mean"], real.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(scaler["deviation"], real.std(axis=0), rtol=1e-5)
    poisoned = fit_scaler(VALUES.at[2].set(jnp.nan), MASK.at[2].set(True), weight)
    np.testing.assert_array_equal(scaler["mean"], poisoned["mean"])
    scaled = standardize(VALUES, MASK, scaler)
    np.testing.assert_array_equal(scaled[~MASK], 0.0)
    np.testing.assert_allclose(np.asarray(scaled)[np.asarray(MASK)].std(axis=0), 1.0, rtol=1e-5)


def test_pictures_are_scaled_by_colour_channel():
    pictures = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 4, 3)).astype(np.uint8)
    scaler = fit_scaler(pictures, np.ones((2, 3), bool), jnp.ones(2))
    np.testing.assert_allclose(scaler["mean"], pictures.reshape(-1, 3).mean(axis=0), rtol=1e-5)
