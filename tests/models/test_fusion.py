import jax
import jax.numpy as jnp
import numpy as np
from filled_variables import filled_variables

from avemo_jax.models.fusion import ConcatFusion, DotAttentionFusion, TanhGRUFusion, match_steps
from avemo_jax.models.recurrent import GRU


def _mask(*lengths, num_steps):
    return np.arange(num_steps) < np.array(lengths)[:, None]


def _normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_five_audio_steps_reach_sixteen_video_steps():
    steps = jnp.arange(5.0)[None, :, None]
    matched = match_steps(steps, _mask(5, num_steps=5), _mask(16, num_steps=16))
    np.testing.assert_array_equal(matched[0, :, 0], [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4])


def test_matching_goes_by_real_steps():
    steps = jnp.arange(1.0, 5.0)[None, :, None].repeat(3, axis=0)
    mask = jnp.array([[True, False, True, False], [True, True, True, True], [False] * 4])
    matched = match_steps(steps, mask, _mask(4, 2, 3, num_steps=5))
    np.testing.assert_array_equal(matched[:, :, 0], [[1, 1, 3, 3, 0], [2, 4, 0, 0, 0], [0, 0, 0, 0, 0]])


def test_concatenation_by_hand():
    fused = ConcatFusion(batch_norm=False).apply({}, jnp.ones((1, 2)), jnp.zeros((1, 1)), jnp.ones(1, bool), train=False)
    np.testing.assert_array_equal(fused, [[1, 1, 0]])


def test_dot_attention_by_hand():
    one = {"kernel": jnp.eye(1), "bias": jnp.zeros(1)}
    params = {"audio": one, "video": one, "query": {"kernel": 2 * jnp.eye(1)}, "key": {"kernel": 3 * jnp.eye(1)}}
    audio, video = jnp.array([[[0.5]]]), jnp.array([[[1.0], [-1.0], [9.0]]])
    fused, weights = DotAttentionFusion(1).apply({"params": params}, audio, _mask(1, num_steps=1), video, _mask(2, num_steps=3))
    # scores are +- 6 tanh(0.5) tanh(1)
    share = 1 / (1 + np.exp(-12 * np.tanh(0.5) * np.tanh(1)))
    np.testing.assert_allclose(weights, [[share, 1 - share, 0]], rtol=1e-5)
    np.testing.assert_allclose(fused, [[np.tanh(1) * (2 * share - 1)]], rtol=1e-5)


def test_tanh_gru_is_the_printed_formula():
    audio, video = _normal(2, 5, 3), _normal(2, 5, 4)
    mask = _mask(5, 3, num_steps=5)
    module = TanhGRUFusion(width=2, num_units=6)
    params = filled_variables(module, audio, mask, video, mask)["params"]

    def tanh_layer(name, x):
        return jnp.tanh(x @ params[name]["kernel"] + params[name]["bias"])

    joined = tanh_layer("join", jnp.concatenate([tanh_layer("audio", audio), tanh_layer("video", video)], axis=-1))
    _, expected = GRU(6).apply({"params": params["context"]}, joined, mask)
    np.testing.assert_allclose(jax.jit(module.apply)({"params": params}, audio, mask, video, mask), expected, atol=1e-6)


def test_padding_changes_nothing():
    audio, video = _normal(2, 5, 3), _normal(2, 8, 4)
    masks = _mask(5, 3, num_steps=5), _mask(8, 6, num_steps=8)
    for module in (TanhGRUFusion(2, 6), DotAttentionFusion(2)):
        variables = filled_variables(module, audio, masks[0], video, masks[1])
        apply = jax.jit(module.apply)
        expected = jax.tree.leaves(apply(variables, audio, masks[0], video, masks[1]))[0]
        longer = [np.pad(x, ((0, 0), (0, 4), (0, 0)), constant_values=3.0) for x in (audio, video)]
        longer_masks = [np.pad(mask, ((0, 0), (0, 4))) for mask in masks]
        found = jax.tree.leaves(apply(variables, longer[0], longer_masks[0], longer[1], longer_masks[1]))[0]
        np.testing.assert_allclose(found, expected, atol=1e-6)
