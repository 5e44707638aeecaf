import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models.fusion import ConcatFusion, DotAttentionFusion, TanhGRUFusion, TokenAttentionFusion, match_steps
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


# Two segments of two examples, of two numbers each; the first example's second segment has no picture, the second's has nothing.
AUDIO = jnp.array([[[1.0, 0.0], [0.0, 2.0]], [[0.5, 0.5], [7.0, 7.0]]])
VIDEO = jnp.array([[[0.0, -1.0], [8.0, 8.0]], [[-1.0, 0.0], [7.0, 7.0]]])
AUDIO_MASK = jnp.array([[True, True], [True, False]])
VIDEO_MASK = jnp.array([[True, False], [True, False]])


def _score(token, kernel, bias, context):
    """<|tanh(W c + b)|, g>, written out."""
    return np.abs(np.tanh(np.array(kernel) @ np.array(token) + bias)) @ np.array(context)


def test_attention_over_modalities_by_hand():
    kernel, bias, context = [[1.0, 0.5], [-2.0, 1.0]], [0.1, -0.2], [1.5, -0.5]
    params = {"hidden": {"kernel": jnp.array(kernel).T, "bias": jnp.array(bias)}, "context": {"kernel": jnp.array(context)[:, None]}}
    fused, weights = TokenAttentionFusion(2, over_segments=False).apply({"params": params}, AUDIO, AUDIO_MASK, VIDEO, VIDEO_MASK)
    assert weights is None

    def both(audio, video):
        heard, seen = (np.exp(_score(token, kernel, bias, context)) for token in (audio, video))
        return (heard * np.array(audio) + seen * np.array(video)) / (heard + seen)

    first = both((1.0, 0.0), (0.0, -1.0))
    second = np.array([0.0, 2.0])  # its sound is all there is
    np.testing.assert_allclose(fused, [(first + second) / 2, both((0.5, 0.5), (-1.0, 0.0))], rtol=1e-5)


def test_attention_over_segments_by_hand():
    kernel, bias, context = [[1.0, 0.5, 0.0, -1.0], [-2.0, 1.0, 0.3, 0.7]], [0.1, -0.2], [1.5, -0.5]
    params = {"hidden": {"kernel": jnp.array(kernel).T, "bias": jnp.array(bias)}, "context": {"kernel": jnp.array(context)[:, None]}}
    fused, weights = TokenAttentionFusion(2, over_segments=True).apply({"params": params}, AUDIO, AUDIO_MASK, VIDEO, VIDEO_MASK)
    tokens = np.array([[1.0, 0.0, 0.0, -1.0], [0.0, 2.0, 0.0, 0.0]])  # zeros stand for the picture that is not there
    shares = np.exp([_score(token, kernel, bias, context) for token in tokens])
    shares /= shares.sum()
    np.testing.assert_allclose(weights, [shares, [1.0, 0.0]], rtol=1e-5)
    np.testing.assert_allclose(fused, [shares @ tokens, [0.5, 0.5, -1.0, 0.0]], rtol=1e-5)


@pytest.mark.parametrize("over_segments", [False, True])
def test_tokens_that_are_not_there_change_nothing(over_segments):
    module = TokenAttentionFusion(3, over_segments)
    variables = filled_variables(module, AUDIO, AUDIO_MASK, VIDEO, VIDEO_MASK)
    expected = module.apply(variables, AUDIO, AUDIO_MASK, VIDEO, VIDEO_MASK)[0]
    streams = [
        jnp.pad(jnp.where(mask[..., None], x, jnp.nan), ((0, 0), (0, 2), (0, 0))) for x, mask in ((AUDIO, AUDIO_MASK), (VIDEO, VIDEO_MASK))
    ]
    masks = [jnp.pad(mask, ((0, 0), (0, 2))) for mask in (AUDIO_MASK, VIDEO_MASK)]
    np.testing.assert_allclose(module.apply(variables, streams[0], masks[0], streams[1], masks[1])[0], expected, atol=1e-6)
    nothing = module.apply(variables, AUDIO, jnp.zeros_like(AUDIO_MASK), VIDEO, jnp.zeros_like(VIDEO_MASK))[0]
    np.testing.assert_array_equal(nothing, jnp.zeros_like(expected))
