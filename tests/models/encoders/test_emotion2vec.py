"""emotion2vec: every layer equal to its owner's code on random weights, whatever else is in the batch; files of weights."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from encoder_shapes import num_params
from safetensors.numpy import load_file, save_file

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.emotion2vec.module import Emotion2Vec, Emotion2VecSize, distance_bias, head_slopes
from avemo_jax.models.encoders.emotion2vec.weights import layout_of
from avemo_jax.pretrained.load import load_pretrained
from avemo_jax.protocols.audit.facts import EncoderUse, audit_encoders
from benchmarks.emotion2vec_reference import SIZES, samples, write_weights

GOLDEN = Path(__file__).with_name("emotion2vec_golden.npz")
SIZE = Emotion2VecSize(**SIZES["small"])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the safetensors file of the golden network."""
    return write_weights(np.load(GOLDEN), tmp_path_factory.mktemp("emotion2vec"))


def load(file: Path):
    layout = layout_of(SIZE)
    return load_pretrained((layout,), str(file), file.parent, layout.variables())[0]


@pytest.mark.golden
def test_every_layer_of_a_clip_beside_a_longer_one_equals_the_owners_of_the_clip_alone(written):
    golden = np.load(GOLDEN)
    length = int(golden["num_samples"])
    mask = np.arange(length + 500)[None] < np.array([[length], [length + 500]])
    values = np.stack([np.pad(samples(length), (0, 500)), samples(length + 500)[::-1]])
    found, steps = jax.jit(Emotion2Vec(SIZE.end_points[-1], SIZE, layers=SIZE.end_points).apply)(load(written), values, mask)
    assert steps.sum(axis=1).tolist() == [28, 29]
    for layer, expected in enumerate(golden["layers"]):
        ours = found[0, :28, layer]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=f"layer {layer}")


def test_the_golden_network_has_a_head_with_a_negative_scale(written):
    """Distance costs it nothing, as in the owner's code."""
    scale = load(written)["params"]["distance_scale"]
    assert scale.min() < 0 < scale.max()


def test_a_tuned_checkpoint_is_read_without_its_classes_and_decoder(written, tmp_path):
    tuned = {f"d2v_model.{name}": array for name, array in load_file(written).items()}
    others = {"proj.weight": (9, 24), "proj.bias": (9,), "d2v_model.modality_encoders.AUDIO.decoder.proj.weight": (2, 2)}
    save_file(tuned | {name: np.ones(shape, np.float32) for name, shape in others.items()}, tmp_path / "tuned.safetensors")
    jax.tree.map(np.testing.assert_array_equal, load(tmp_path / "tuned.safetensors"), load(written))


@pytest.mark.parametrize("change", ["lacks blocks.1.mlp.fc2.bias", "has head.weight"])
def test_a_file_with_other_arrays_is_refused_by_name(written, tmp_path, change):
    arrays = load_file(written)
    name = change.split()[1]
    if change.startswith("lacks"):
        del arrays[name]
    else:
        arrays[name] = np.ones((2, 2), np.float32)
    save_file(arrays, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load(tmp_path / "other.safetensors")


def test_the_owners_pickle_is_refused_with_the_page_that_says_how_to_convert_it(tmp_path):
    (tmp_path / "emotion2vec_base.pt").write_bytes(b"pickled")
    with pytest.raises(ValueError, match=r"docs/encoders/emotion2vec\.md"):
        load(tmp_path / "emotion2vec_base.pt")


def test_distances_cost_each_head_its_slope_and_tokens_cost_nothing():
    assert head_slopes(4).tolist() == [2**-2, 2**-4, 2**-6, 2**-8]
    np.testing.assert_allclose(head_slopes(6), [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3])
    found = distance_bias(3, 4, num_tokens=1)
    assert found[1].tolist() == [[0, 0, 0, 0], [0, 0, -1 / 16, -2 / 16], [0, -1 / 16, 0, -1 / 16], [0, -2 / 16, -1 / 16, 0]]


def test_a_shorter_network_lacks_what_lies_beyond_it():
    values, mask = np.zeros((1, 400), np.float32), np.ones((1, 400), bool)
    names = {
        point: set(jax.eval_shape(Emotion2Vec(point, SIZE).init, jax.random.key(0), values, mask)["params"]) for point in SIZE.end_points
    }
    assert names["layer0"] == {"stem", "feature_norm", "project", "positions", "tokens", "norm"}
    assert names["layer2"] - names["layer0"] == {"distance_scale", "block1", "block2"}


def test_the_published_network_has_the_owners_number_of_numbers():
    (layout,) = find_encoder("emotion2vec_base").weights
    # As counted by benchmarks.emotion2vec_reference --write FILE --size base.
    assert num_params(layout.variables()["params"]) == 93_171_212


@pytest.mark.parametrize("corpus", ["iemocap", "meld"])
def test_the_audit_refuses_it_on_corpora_that_it_has_heard(corpus):
    use = EncoderUse("emotion2vec_base", find_encoder("emotion2vec_base").trained_on)
    (finding,) = audit_encoders([use], [corpus])
    assert finding.name == "encoder_saw_corpus"
    assert not audit_encoders([use], ["ravdess"])
