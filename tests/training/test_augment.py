"""Augmentation, cepstra and standardisation: their effects, and what they must not change."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.fft import dct

from avemo_jax.training.augment import Augmentation, disturb_features, disturb_view, drop_streams, mixup, move_pictures
from avemo_jax.training.frontend import cepstra
from avemo_jax.training.scaler import fit_scaler, standardize

KEY = jax.random.key(0)
MASK = jnp.arange(12) < jnp.asarray([12, 8, 0])[:, None]
VALUES = jnp.where(MASK[:, :, None], jnp.asarray(np.random.default_rng(0).normal(size=(3, 12, 10)), jnp.float32), 0.0)


def test_zeros_change_nothing():
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
def test_features_are_augmented_only_in_real_steps(settings):
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


def test_stretch_changes_the_length_but_not_the_ends_and_content():
    ramp = jnp.where(MASK[:, :, None], jnp.arange(12.0)[None, :, None] * jnp.ones((3, 12, 2)), 0.0)
    lengths = set()
    for seed in range(8):
        values, mask = disturb_view(ramp, MASK, jax.random.key(seed), Augmentation(max_stretch=0.5))
        length = int(mask[1].sum())
        lengths.add(length)
        np.testing.assert_allclose(values[1, :length, 0], np.linspace(0, 7, length), atol=1e-5)
        assert not mask[2].any() and not values[2].any()
    assert len(lengths) > 2 and min(lengths) < 8 < max(lengths)


def test_warp_shifts_the_bands():
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
    same, same_target = mixup(batch, target, jnp.float32(0.0), KEY, ["audio"])
    np.testing.assert_array_equal(same["audio"], batch["audio"])
    np.testing.assert_array_equal(same_target, target)
    blended = set()
    for seed in range(30):
        mixed, mixed_target = mixup(batch, target, jnp.float32(0.4), jax.random.key(seed), ["audio"])
        share = float(mixed_target[0, 0])
        assert mixed_target[0, 2] == mixed_target[1, 2] == 0
        np.testing.assert_allclose(mixed["audio"][0, 0, 0], share * 1.0 + (1 - share) * 2.0, rtol=1e-5)
        blended.add(round(share, 3))
    assert len(blended) > 2 and min(blended) >= 0.5


def test_cepstra_are_the_orthonormal_cosine_transform():
    np.testing.assert_allclose(cepstra(VALUES, 4), dct(np.asarray(VALUES), norm="ortho", axis=-1)[..., :4], atol=1e-5)
    with pytest.raises(ValueError, match="10 bands"):
        cepstra(VALUES, 11)


def test_the_scaler_is_fitted_only_on_real_steps_of_the_training_part():
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


def test_steps_that_are_no_times_have_statistics_of_their_own():
    weight, mask = jnp.asarray([1.0, 1.0, 0.0]), jnp.ones(VALUES.shape[:2], bool)
    scaler = fit_scaler(VALUES, mask, weight, by_step=True)
    np.testing.assert_allclose(scaler["mean"], np.asarray(VALUES)[:2].mean(axis=0), atol=1e-6)
    scaled = np.asarray(standardize(VALUES, mask, scaler))
    np.testing.assert_allclose(scaled[:2].mean(axis=0), 0, atol=1e-5)
    longer = jnp.pad(VALUES, ((0, 0), (0, 2), (0, 0)))
    np.testing.assert_array_equal(standardize(longer, jnp.pad(mask, ((0, 0), (0, 2))), scaler)[:, : VALUES.shape[1]], scaled)


def test_pictures_are_scaled_by_colour_channel():
    pictures = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 4, 3)).astype(np.uint8)
    scaler = fit_scaler(pictures, np.ones((2, 3), bool), jnp.ones(2))
    np.testing.assert_allclose(scaler["mean"], pictures.reshape(-1, 3).mean(axis=0), rtol=1e-5)


# Pictures: two clips of three frames, the last frame of the second one padding.
PICTURES = jnp.asarray(np.random.default_rng(0).integers(1, 255, (2, 3, 8, 6, 3)), jnp.uint8).at[1, 2].set(0)
SHOWN = jnp.asarray([[True, True, True], [True, True, False]])
EVERY_WAY = Augmentation(max_rotate_deg=30.0, max_zoom=0.3, max_shift=0.2, flip=True)
disturb_pictures = jax.jit(disturb_view, static_argnums=3)
STILL = {"angle": 0.0, "zoom": 1.0, "shift": jnp.zeros(2), "mirror": 1.0}
# A known picture with a different value in each corner.
MAP = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])


def moved(**changes) -> np.ndarray:
    return np.asarray(move_pictures(jnp.asarray(MAP, jnp.float32)[..., None], **(STILL | changes)))[..., 0]


def test_a_picture_turned_by_a_right_angle():
    np.testing.assert_allclose(moved(angle=jnp.pi / 2), np.rot90(MAP, -1), atol=1e-4)
    np.testing.assert_allclose(moved(angle=-jnp.pi / 2), np.rot90(MAP), atol=1e-4)
    np.testing.assert_array_equal(moved(), MAP)


def test_a_picture_moved_mirrored_and_enlarged():
    np.testing.assert_allclose(moved(shift=jnp.array([1 / 3, 0.0])), MAP[[0, 0, 1]], atol=1e-4)  # down, the upper edge repeated
    np.testing.assert_allclose(moved(shift=jnp.array([0.0, -1 / 3])), MAP[:, [1, 2, 2]], atol=1e-4)
    np.testing.assert_array_equal(moved(mirror=-1.0), MAP[:, ::-1])
    np.testing.assert_allclose(moved(zoom=2.0), [[30, 35, 40], [45, 50, 55], [60, 65, 70]], atol=1e-4)
    # a picture that is mirrored and moved to the right lies on the right
    np.testing.assert_allclose(moved(mirror=-1.0, shift=jnp.array([0.0, 1 / 3])), MAP[:, [2, 2, 1]], atol=1e-4)


def test_pictures_without_augmentation_are_unchanged_bit_for_bit():
    values, mask = disturb_view(PICTURES, SHOWN, KEY, Augmentation())
    assert values is PICTURES and mask is SHOWN


def test_a_vertical_flip_turns_all_frames_of_a_clip():
    seen = set()
    for seed in range(20):
        values, _ = disturb_pictures(PICTURES, SHOWN, jax.random.key(seed), Augmentation(flip_vertically=True))
        assert values.dtype == jnp.uint8
        for clip in range(2):
            is_turned = bool((values[clip] == PICTURES[clip, :, ::-1]).all())
            assert is_turned or (values[clip] == PICTURES[clip]).all()
            seen.add((clip, is_turned))
    assert len(seen) == 4


def test_a_flip_mirrors_all_frames():
    seen = set()
    for seed in range(20):
        values, mask = disturb_pictures(PICTURES, SHOWN, jax.random.key(seed), Augmentation(flip=True))
        assert values.dtype == jnp.uint8
        np.testing.assert_array_equal(mask, SHOWN)
        for clip in range(2):
            mirrored = bool((values[clip] == PICTURES[clip, :, :, ::-1]).all())
            assert mirrored or (values[clip] == PICTURES[clip]).all()
            seen.add((clip, mirrored))
    assert len(seen) == 4


def test_frames_of_a_clip_are_augmented_alike_and_clips_differently():
    frames = jnp.broadcast_to(PICTURES[:1, :1], (2, 3, 8, 6, 3))
    values, _ = disturb_pictures(frames, jnp.ones((2, 3), bool), KEY, EVERY_WAY)
    assert values.dtype == jnp.uint8 and (values != frames).any()
    np.testing.assert_array_equal(values[:, 1:], values[:, :1].repeat(2, axis=1))
    assert (values[0] != values[1]).any()
    nested = disturb_pictures(frames[:, :, None].repeat(2, axis=2), jnp.ones((2, 3), bool), KEY, EVERY_WAY)[0]  # frames of a step
    np.testing.assert_array_equal(nested[:, :, 1], values)
    floats = disturb_pictures(frames.astype(jnp.float32), jnp.ones((2, 3), bool), KEY, EVERY_WAY)[0]
    np.testing.assert_allclose(jnp.round(floats), values, atol=1)
    padded = disturb_pictures(PICTURES, SHOWN, KEY, EVERY_WAY)[0]
    assert not padded[1, 2].any()


@pytest.mark.parametrize("settings", [Augmentation(max_rotate_deg=90.0), Augmentation(max_zoom=1.0), Augmentation(max_shift=0.5)])
def test_every_setting_of_pictures_has_an_effect_within_its_bounds(settings):
    values = [disturb_pictures(PICTURES, SHOWN, jax.random.key(seed), settings)[0][0, 0] for seed in range(4)]
    assert all((one != other).any() for one, other in itertools.pairwise(values))
    assert all(one.min() >= PICTURES[0, 0].min() and one.max() <= PICTURES[0, 0].max() for one in values)


def test_patches_are_masked_one_by_one():
    patches = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 12, 10)), jnp.float32) + 9
    patches = jnp.where(SHOWN[:, :, None, None], patches, 0)
    settings = Augmentation(num_time_masks=1, max_time_mask=0.6, num_feature_masks=1, max_feature_mask=0.6)
    disturbed = np.asarray(disturb_features(patches, SHOWN, KEY, settings))
    np.testing.assert_array_equal(disturbed[~np.asarray(SHOWN)], 0)
    frames, bands = (disturbed == 0).all(axis=3), (disturbed == 0).all(axis=2)
    real = np.asarray(SHOWN)
    # masks hide whole frames and bands, within their limits, and differ from patch to patch
    hidden = (frames[..., :, None] | bands[..., None, :])[real]
    np.testing.assert_array_equal(hidden, (disturbed == 0)[real])
    np.testing.assert_array_equal(disturbed[real][~hidden], np.asarray(patches)[real][~hidden])
    assert len({row.tobytes() for row in frames[real]}) > 2 and len({row.tobytes() for row in bands[real]}) > 2
    assert frames[real].sum(axis=1).max() <= 0.6 * 12 + 1 and bands[real].sum(axis=1).max() <= 0.6 * 10 + 1
    np.testing.assert_array_equal(disturb_view(patches, SHOWN, KEY, Augmentation(max_stretch=0.5))[0], patches)


def test_mixed_pictures_keep_the_type_by_which_networks_scale_them():
    batch = {"video": PICTURES, "video_mask": SHOWN, "mask": jnp.ones(2, bool)}
    same, _ = mixup(batch, jnp.eye(2), jnp.float32(0.0), KEY, ["video"])
    np.testing.assert_array_equal(same["video"], PICTURES)
    mixed = [mixup(batch, jnp.eye(2), jnp.float32(0.4), jax.random.key(seed), ["video"]) for seed in range(6)]
    assert all(one["video"].dtype == jnp.uint8 for one, _ in mixed)
    one, target = next(pair for pair in mixed if 0 < pair[1][0, 1] < 1)
    expected = np.round(float(target[0, 0]) * np.float32(PICTURES[0]) + float(target[0, 1]) * np.float32(PICTURES[1]))
    np.testing.assert_allclose(one["video"][0], expected, atol=1)


def test_whole_streams_are_left_out_and_never_all_that_a_clip_has():
    # Clips have both streams, sound alone, or pictures alone; with a rate of 0.5 the share of clips that lose sound is 0.5 - 0.5^2 / 2.
    count = 3000
    has = np.array([[True, True], [True, False], [False, True]])[np.arange(count) % 3]
    steps = np.arange(4) < 3
    batch = {
        "audio": jnp.ones((count, 4, 2)),
        "audio_mask": jnp.asarray(has[:, :1] & steps),
        "video_mask": jnp.asarray(has[:, 1:] & steps),
    }
    found = drop_streams(batch, jnp.float32(0.5), KEY, ["audio", "video"])
    masks = np.stack([found["audio_mask"], found["video_mask"]], axis=1)
    kept = masks.any(axis=2)
    np.testing.assert_array_equal(masks, kept[..., None] & steps)  # whole streams
    assert kept.any(axis=1).all() and not kept[~has].any()
    assert kept[np.arange(count) % 3 > 0].sum() == 2 * count // 3  # what is alone stays
    np.testing.assert_allclose(1 - kept[::3].mean(axis=0), 0.375, atol=0.04)
    assert found["audio"] is batch["audio"]
    same = drop_streams(batch, jnp.float32(0.0), KEY, ["audio", "video"])
    np.testing.assert_array_equal(same["audio_mask"], batch["audio_mask"])
