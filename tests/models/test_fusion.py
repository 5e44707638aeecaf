import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models.fusion import FUSIONS, FusionSpec
from avemo_jax.models.fusion.concat import ConcatFusion
from avemo_jax.models.fusion.dot_attention import DotAttentionFusion
from avemo_jax.models.fusion.match_steps import match_steps
from avemo_jax.models.fusion.tanh_gru import TanhGRUFusion
from avemo_jax.models.fusion.token_attention import TokenAttentionFusion
from avemo_jax.models.recurrent import GRU

BOTH = ("audio", "video")


def _apply(module, params, values, masks):
    return jax.jit(lambda *args: module.apply({"params": params}, *args, train=False))(values, masks, jnp.ones(len(values[0]), bool))


def _filled(module, values, masks):
    return filled_variables(module, values, masks, jnp.ones(len(values[0]), bool), train=False)["params"]


def _mask(*lengths, num_steps):
    return np.arange(num_steps) < np.array(lengths)[:, None]


def _normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_five_audio_steps_reach_sixteen_video_steps():
    steps = jnp.arange(5.0)[None, :, None]
    matched = match_steps(steps, _mask(5, num_steps=5), _mask(16, num_steps=16))
    np.testing.assert_array_equal(matched[0, :, 0], [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4])


def test_only_real_steps_are_matched():
    steps = jnp.arange(1.0, 5.0)[None, :, None].repeat(3, axis=0)
    mask = jnp.array([[True, False, True, False], [True, True, True, True], [False] * 4])
    matched = match_steps(steps, mask, _mask(4, 2, 3, num_steps=5))
    np.testing.assert_array_equal(matched[:, :, 0], [[1, 1, 3, 3, 0], [2, 4, 0, 0, 0], [0, 0, 0, 0, 0]])


def test_concatenation_by_hand():
    values = [jnp.ones((1, 2)), jnp.zeros((1, 1)), jnp.full((1, 1), 5.0)]
    fused, weights = _apply(ConcatFusion(batch_norm=False), {}, values, [_mask(1, num_steps=1)] * 3)
    np.testing.assert_array_equal(fused, [[1, 1, 0, 5]])
    assert weights is None


def test_dot_attention_by_hand():
    one = {"kernel": jnp.eye(1), "bias": jnp.zeros(1)}
    params = {"audio": one, "video": one, "query": {"kernel": 2 * jnp.eye(1)}, "key": {"kernel": 3 * jnp.eye(1)}}
    audio, video = jnp.array([[[0.5]]]), jnp.array([[[1.0], [-1.0], [9.0]]])
    fused, weights = _apply(DotAttentionFusion(BOTH, 1), params, [audio, video], [_mask(1, num_steps=1), _mask(2, num_steps=3)])
    # scores are +- 6 tanh(0.5) tanh(1)
    share = 1 / (1 + np.exp(-12 * np.tanh(0.5) * np.tanh(1)))
    np.testing.assert_allclose(weights, [[share, 1 - share, 0]], rtol=1e-5)
    np.testing.assert_allclose(fused, [[np.tanh(1) * (2 * share - 1)]], rtol=1e-5)


def test_tanh_gru_equals_the_published_formula():
    audio, video = _normal(2, 5, 3), _normal(2, 5, 4)
    mask = _mask(5, 3, num_steps=5)
    module = TanhGRUFusion(BOTH, width=2, num_units=6)
    params = _filled(module, [audio, video], [mask, mask])

    def tanh_layer(name, x):
        return jnp.tanh(x @ params[name]["kernel"] + params[name]["bias"])

    joined = tanh_layer("join", jnp.concatenate([tanh_layer("audio", audio), tanh_layer("video", video)], axis=-1))
    _, expected = GRU(6).apply({"params": params["context"]}, joined, mask)
    np.testing.assert_allclose(_apply(module, params, [audio, video], [mask, mask])[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["tanh_gru", "dot_attention"])
@pytest.mark.parametrize("names", [BOTH, ("text", "audio", "video")])
def test_padding_changes_nothing(kind, names):
    values = [_normal(2, 5, 3), _normal(2, 6, 3), _normal(2, 8, 4)][-len(names) :]
    masks = [_mask(5, 3, num_steps=5), _mask(1, 6, num_steps=6), _mask(8, 6, num_steps=8)][-len(names) :]
    module = FusionSpec(kind=kind, width=2, num_units=6).module(names, "fusion")
    params = _filled(module, values, masks)
    longer = [np.pad(x, ((0, 0), (0, 4), (0, 0)), constant_values=3.0) for x in values]
    longer_masks = [np.pad(mask, ((0, 0), (0, 4))) for mask in masks]
    found = _apply(module, params, longer, longer_masks)[0]
    np.testing.assert_allclose(found, _apply(module, params, values, masks)[0], atol=1e-6)


def test_the_last_of_three_streams_is_attended_over_by_each_of_the_others():
    """It equals two fusions of two streams with the same weights, concatenated."""
    values, masks = [_normal(2, 5, 3), _normal(2, 4, 2), _normal(2, 6, 4)], [_mask(5, 3, num_steps=n) for n in (5, 4, 6)]
    module = DotAttentionFusion(("text", "audio", "video"), 2)
    params = _filled(module, values, masks)
    assert set(params) == {"text", "audio", "video", "query_text", "query_audio", "key"}
    fused, weights = _apply(module, params, values, masks)
    parts = []
    for index, name in enumerate(("text", "audio")):
        own = {name: params[name], "video": params["video"], "key": params["key"], "query": params[f"query_{name}"]}
        parts.append(_apply(DotAttentionFusion((name, "video"), 2), own, [values[index], values[2]], [masks[index], masks[2]]))
    np.testing.assert_allclose(fused, np.concatenate([vector for vector, _ in parts], axis=-1), atol=1e-6)
    np.testing.assert_allclose(weights, np.mean([one for _, one in parts], axis=0), atol=1e-6)


def test_tanh_gru_matches_all_streams_to_the_steps_of_the_last():
    values, masks = [_normal(2, 5, 3), _normal(2, 3, 2), _normal(2, 4, 4)], [_mask(5, 3, num_steps=5), _mask(2, 3, num_steps=3)]
    masks.append(_mask(4, 2, num_steps=4))
    module = TanhGRUFusion(("text", "audio", "video"), width=2, num_units=6)
    params = _filled(module, values, masks)
    equal = [jnp.tanh(x @ params[name]["kernel"] + params[name]["bias"]) for name, x in zip(module.names, values, strict=True)]
    steps = [match_steps(equal[0], masks[0], masks[2]), match_steps(equal[1], masks[1], masks[2]), equal[2]]
    joined = jnp.tanh(jnp.concatenate(steps, axis=-1) @ params["join"]["kernel"] + params["join"]["bias"])
    _, expected = GRU(6).apply({"params": params["context"]}, joined, masks[2])
    np.testing.assert_allclose(_apply(module, params, values, masks)[0], expected, atol=1e-6)


def test_a_stream_cannot_have_the_name_of_a_layer():
    assert set(FUSIONS) == {"concat", "tanh_gru", "dot_attention", "token_attention", "gated", "bottleneck", "cross_modal"}
    with pytest.raises(ValueError, match=r"'tanh_gru' has a layer named 'context'.*rename the stream"):
        FusionSpec(kind="tanh_gru").module(("audio", "context"), "fusion")
    FusionSpec(kind="concat").module(("audio", "context"), "fusion")


# Two examples with two segments of two features; the second segment of the first has no picture, that of the second has no stream.
AUDIO = jnp.array([[[1.0, 0.0], [0.0, 2.0]], [[0.5, 0.5], [7.0, 7.0]]])
VIDEO = jnp.array([[[0.0, -1.0], [8.0, 8.0]], [[-1.0, 0.0], [7.0, 7.0]]])
AUDIO_MASK = jnp.array([[True, True], [True, False]])
VIDEO_MASK = jnp.array([[True, False], [True, False]])


def _score(token, kernel, bias, context):
    """Return <|tanh(W c + b)|, g>."""
    return np.abs(np.tanh(np.array(kernel) @ np.array(token) + bias)) @ np.array(context)


def test_attention_over_modalities_by_hand():
    kernel, bias, context = [[1.0, 0.5], [-2.0, 1.0]], [0.1, -0.2], [1.5, -0.5]
    params = {"hidden": {"kernel": jnp.array(kernel).T, "bias": jnp.array(bias)}, "context": {"kernel": jnp.array(context)[:, None]}}
    fused, weights = _apply(TokenAttentionFusion(BOTH, 2, over_segments=False), params, [AUDIO, VIDEO], [AUDIO_MASK, VIDEO_MASK])
    assert weights is None

    def both(audio, video):
        heard, seen = (np.exp(_score(token, kernel, bias, context)) for token in (audio, video))
        return (heard * np.array(audio) + seen * np.array(video)) / (heard + seen)

    first = both((1.0, 0.0), (0.0, -1.0))
    second = np.array([0.0, 2.0])  # the segment has only sound
    np.testing.assert_allclose(fused, [(first + second) / 2, both((0.5, 0.5), (-1.0, 0.0))], rtol=1e-5)


def test_attention_over_segments_by_hand():
    kernel, bias, context = [[1.0, 0.5, 0.0, -1.0], [-2.0, 1.0, 0.3, 0.7]], [0.1, -0.2], [1.5, -0.5]
    params = {"hidden": {"kernel": jnp.array(kernel).T, "bias": jnp.array(bias)}, "context": {"kernel": jnp.array(context)[:, None]}}
    fused, weights = _apply(TokenAttentionFusion(BOTH, 2, over_segments=True), params, [AUDIO, VIDEO], [AUDIO_MASK, VIDEO_MASK])
    tokens = np.array([[1.0, 0.0, 0.0, -1.0], [0.0, 2.0, 0.0, 0.0]])  # zeros stand for the missing picture
    shares = np.exp([_score(token, kernel, bias, context) for token in tokens])
    shares /= shares.sum()
    np.testing.assert_allclose(weights, [shares, [1.0, 0.0]], rtol=1e-5)
    np.testing.assert_allclose(fused, [shares @ tokens, [0.5, 0.5, -1.0, 0.0]], rtol=1e-5)


@pytest.mark.parametrize("over_segments", [False, True])
def test_missing_tokens_have_no_effect(over_segments):
    module, masks = TokenAttentionFusion(BOTH, 3, over_segments), [AUDIO_MASK, VIDEO_MASK]
    params = _filled(module, [AUDIO, VIDEO], masks)
    expected = _apply(module, params, [AUDIO, VIDEO], masks)[0]
    streams = [
        jnp.pad(jnp.where(mask[..., None], x, jnp.nan), ((0, 0), (0, 2), (0, 0))) for x, mask in ((AUDIO, AUDIO_MASK), (VIDEO, VIDEO_MASK))
    ]
    longer = [jnp.pad(mask, ((0, 0), (0, 2))) for mask in masks]
    np.testing.assert_allclose(_apply(module, params, streams, longer)[0], expected, atol=1e-6)
    nothing = _apply(module, params, [AUDIO, VIDEO], [jnp.zeros_like(mask) for mask in masks])[0]
    np.testing.assert_array_equal(nothing, jnp.zeros_like(expected))


@pytest.mark.parametrize("over_segments", [False, True])
def test_a_third_stream_without_a_real_step_adds_no_token(over_segments):
    """Over modalities it has no effect; over segments zeros stand for it."""
    module = TokenAttentionFusion((*BOTH, "text"), 3, over_segments)
    values, masks = [AUDIO, VIDEO, 9 * AUDIO], [AUDIO_MASK, VIDEO_MASK, jnp.zeros_like(AUDIO_MASK)]
    params = _filled(module, values, masks)
    two = dict(params)
    if over_segments:
        two["hidden"] = params["hidden"] | {"kernel": params["hidden"]["kernel"][:4]}
    expected = _apply(TokenAttentionFusion(BOTH, 3, over_segments), two, values[:2], masks[:2])[0]
    fused = _apply(module, params, values, masks)[0]
    np.testing.assert_allclose(fused, jnp.pad(expected, ((0, 0), (0, 2 if over_segments else 0))), atol=1e-6)
    shown = _apply(module, params, values, [AUDIO_MASK, VIDEO_MASK, AUDIO_MASK])[0]
    assert (np.abs(shown - fused) > 1e-3).any()
