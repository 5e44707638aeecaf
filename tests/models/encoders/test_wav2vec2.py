"""The wav2vec 2.0 family: every layer equal to the transformers library's on random weights, whatever else is in the batch."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
import pytest
from encoder_shapes import num_params

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.wav2vec2 import NETWORKS
from avemo_jax.models.encoders.wav2vec2.module import Wav2Vec2, Wav2Vec2Size
from avemo_jax.models.encoders.wav2vec2.weights import layout_of
from avemo_jax.pretrained.load import load_pretrained

SMALL = {"width": 32, "num_layers": 2, "num_heads": 4, "stem_channels": 16, "position_groups": 4}
KINDS = ("wav2vec2_base", "wav2vec2_large_lv60", "distilhubert", "wavlm_base", "wavlm_large", "data2vec_audio_base")
LENGTHS = (3000, 9_123, 5_999)  # samples of the clips of a batch


def small_network(name: str):
    """Return a small network of the kind of a published one, and where that is published."""
    size, published = NETWORKS[name]
    few = {"num_distances": 32, "most_distance_steps": 40} if size.num_distances else {}
    return dataclasses.replace(size, **SMALL, **few), published


def library_network(size: Wav2Vec2Size, model_type: str, kind: str = "Model"):
    """Return a network of the transformers library with random weights."""
    transformers = pytest.importorskip("transformers")
    several = size.num_position_convs > 1
    fields = {
        "hidden_size": size.width,
        "num_hidden_layers": size.num_layers,
        "num_attention_heads": size.num_heads,
        "intermediate_size": 4 * size.width,
        "conv_dim": [size.stem_channels] * 7,
        "conv_bias": size.stem_bias,
        "feat_extract_norm": size.stem_norm,
        "feat_proj_layer_norm": size.feature_norm,
        "do_stable_layer_norm": size.pre_norm,
        "num_conv_pos_embeddings": size.num_position_convs if several else size.position_steps,
        "conv_pos_kernel_size": size.position_steps,
        "num_conv_pos_embedding_groups": size.position_groups,
        "num_buckets": size.num_distances or 320,
        "max_bucket_distance": size.most_distance_steps,
        "vocab_size": 30,
        "classifier_proj_size": 8,
    }
    family = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}[model_type]
    transformers.set_seed(0)
    return getattr(transformers, f"{family}{kind}")(getattr(transformers, f"{family}Config")(**fields)).eval()


def write_random_network(folder, size: Wav2Vec2Size, model_type: str, kind: str = "Model"):
    """Write a network of the library as its owner would, and return it."""
    torch = pytest.importorskip("torch")
    model = library_network(size, model_type, kind)
    with torch.no_grad():  # as drawn, norms and biases are ones and zeros, and hide what is swapped
        for number, (name, array) in enumerate(sorted(model.named_parameters())):
            is_position = "gru_rel_pos" in name or "rel_attn_embed" in name
            if array.ndim == 1 or is_position:
                drawn = np.random.default_rng(number).normal(0, 0.5 if is_position else 0.1, array.shape)
                array += torch.from_numpy(drawn.astype(np.float32))
    model.save_pretrained(folder)
    return model


def samples(num_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.02, 0.1, num_samples).astype(np.float32)


def batch_of(lengths=LENGTHS) -> tuple[np.ndarray, np.ndarray]:
    """Return clips of these lengths as one batch, padded to the longest and 500 samples more, and its mask."""
    mask = np.arange(max(lengths) + 500)[None] < np.array(lengths)[:, None]
    values = np.zeros(mask.shape, np.float32)
    for row, length in enumerate(lengths):
        values[row, :length] = samples(length, row)
    return values, mask


def expected_layers(model, clip: np.ndarray, normalizes: bool) -> list[np.ndarray]:
    """Return every hidden state (T, D) of a clip alone, as the library computes it, the last one with the norm behind it."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalizes)
    inputs = extractor(clip, sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        outputs = model(inputs, output_hidden_states=True)
    return [state[0].numpy() for state in (*outputs.hidden_states[:-1], outputs.last_hidden_state)]


def check_layers(found, mask, row: int, expected: list[np.ndarray]) -> None:
    assert mask[row].sum() == len(expected[0]) and found.shape[2] == len(expected)
    for layer, theirs in enumerate(expected):
        np.testing.assert_allclose(
            found[row, : len(theirs), layer], theirs, rtol=0, atol=1e-5 * np.abs(theirs).max(), err_msg=f"clip {row}, layer {layer}"
        )


@pytest.mark.parametrize("name", KINDS)
def test_every_layer_of_every_clip_of_a_batch_equals_the_librarys_of_that_clip_alone(name, tmp_path):
    size, published = small_network(name)
    model = write_random_network(tmp_path, size, published.model_type)
    layout = layout_of(size, published)
    variables, _ = load_pretrained((layout,), str(tmp_path), tmp_path, layout.variables())
    net = Wav2Vec2(size.end_points[-1], size, layers=size.end_points)
    values, mask = batch_of()
    found, found_mask = jax.jit(net.apply)(variables, values, mask)
    for row, length in enumerate(LENGTHS):
        check_layers(found, found_mask, row, expected_layers(model, values[row, :length], not published.keeps_level))


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["wav2vec2_base", "wav2vec2_xls_r_300m", "hubert_base", "wavlm_base_plus", "wavlm_large", "data2vec_audio_base"]
)
def test_every_layer_of_the_published_size_equals_the_librarys(name, tmp_path):
    size, published = NETWORKS[name]
    model = write_random_network(tmp_path, size, published.model_type)
    layout = layout_of(size, published)
    variables, _ = load_pretrained((layout,), str(tmp_path), tmp_path, layout.variables())
    net = Wav2Vec2(size.end_points[-1], size, layers=size.end_points)
    found, mask = jax.jit(net.apply)(variables, samples(32_000)[None], np.ones((1, 32_000), bool))
    check_layers(found, mask, 0, expected_layers(model, samples(32_000), not published.keeps_level))


@pytest.mark.parametrize("name", {size: name for name, (size, _) in NETWORKS.items()}.values())
def test_each_record_has_as_many_numbers_as_the_librarys_network(name):
    torch = pytest.importorskip("torch")
    size, published = NETWORKS[name]
    with torch.device("meta"):
        theirs = library_network(size, published.model_type)
    count = sum(array.numel() for array_name, array in theirs.named_parameters() if "masked_spec_embed" not in array_name)
    if size.num_position_convs == 1:
        count -= size.position_steps  # lengths of the kernel, which are resolved
    if size.num_distances:  # eight outputs of a gate are two
        count -= size.num_layers * 6 * (size.width // size.num_heads + 1)
    (layout,) = find_encoder(name).weights
    assert num_params(layout.variables()["params"]) == count


@functools.cache
def random_net(name: str = "wav2vec2_base"):
    size = small_network(name)[0]
    net = Wav2Vec2(size.end_points[-1], size, layers=size.end_points)
    shapes = jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, 400), np.float32), np.ones((1, 400), bool))
    generator = np.random.default_rng(0)
    return net, jax.tree.map(lambda leaf: generator.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)


def test_the_mask_is_what_keeps_padding_out_of_group_norm_and_attention():
    net, variables = random_net()
    values, mask = batch_of((3000,))
    apply = jax.jit(net.apply)
    with_mask, real = apply(variables, values, mask)
    without, _ = apply(variables, values, np.ones_like(mask))
    assert real.sum() == 9
    assert (np.abs(with_mask - without)[:, :9].max(axis=(0, 1, 3)) > 1e-3).all()


def test_a_shorter_network_has_the_layers_of_the_whole_one():
    net, variables = random_net("wavlm_large")
    values, mask = batch_of((3000,))
    every, _ = jax.jit(net.apply)(variables, values, mask)
    first, _ = jax.jit(Wav2Vec2("layer1", net.size).apply)(variables, values, mask)
    np.testing.assert_allclose(first, every[:, :, 1], atol=1e-5)


@pytest.mark.parametrize("name", ["wavlm_base", "wavlm_large"])
def test_a_shorter_network_lacks_the_parameters_of_what_lies_beyond_it(name):
    size, (values, mask) = small_network(name)[0], batch_of((3000,))
    shapes = {point: jax.eval_shape(Wav2Vec2(point, size).init, jax.random.key(0), values, mask) for point in size.end_points}
    layer0 = {"stem", "feature_norm", "project", "positions"} | (set() if size.pre_norm else {"norm"})
    assert set(shapes["layer0"]["params"]) == layer0
    assert set(shapes["layer1"]["params"]) == layer0 | {"distances", "block1"}
    assert set(shapes["layer2"]["params"]) == layer0 | {"distances", "block1", "block2", "norm"}


@pytest.mark.parametrize("num_samples", [100, 399, 400, 719, 720, 16_000, 16_001])
def test_times_are_the_middles_of_what_the_steps_see(num_samples):
    times_s = find_encoder("wav2vec2_base").feature_times(np.arange(num_samples) / 16_000)
    num_steps = max(0, (num_samples - 80) // 320)
    np.testing.assert_allclose(times_s, (200 + 320 * np.arange(num_steps)) / 16_000, atol=1e-6)
    if num_steps:
        net, variables = random_net()
        features, _ = jax.eval_shape(net.apply, variables, np.zeros((1, num_samples)), np.ones((1, num_samples), bool))
        assert features.shape[1] == num_steps


@pytest.mark.parametrize(("values", "end_point", "message"), [((1, 400, 80), "layer2", "view=waveform"), ((1, 400), "layer9", "layers of")])
def test_input_that_does_not_fit_is_refused(values, end_point, message):
    size = small_network("wav2vec2_base")[0]
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(Wav2Vec2(end_point, size).init, jax.random.key(0), np.zeros(values), np.ones(values[:2], bool))
