import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_shapes import num_params, shapes_of

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.inception_v3.module import END_POINTS, InceptionV3, fold_batch_norm
from avemo_jax.pretrained.load import load_pretrained


def test_shapes_and_parameters_are_those_of_the_original():
    features, variables = shapes_of(InceptionV3(), 2, 299, 299, 3)
    assert features.shape == (2, 2048)
    assert num_params(variables) == 21_802_784  # Keras' number without the classes
    assert num_params(shapes_of(InceptionV3("logits"), 1, 75, 75, 3)[1]) == 23_851_784
    assert shapes_of(InceptionV3("mixed10"), 1, 299, 299, 3)[0].shape == (1, 8, 8, 2048)
    assert shapes_of(InceptionV3("mixed7"), 1, 299, 299, 3, dtype=jnp.uint8)[0].shape == (1, 17, 17, 768)
    assert shapes_of(InceptionV3(), 1, 75, 75, 3)[0].shape == (1, 2048)


def test_wrong_inputs_are_refused_with_the_expected_ones():
    with pytest.raises(ValueError, match="75 pixels at least"):
        shapes_of(InceptionV3(), 1, 48, 48, 3)
    with pytest.raises(ValueError, match=r"among .*'mixed10'.* got 'fc'"):
        shapes_of(InceptionV3("fc"), 1, 299, 299, 3)


def _some_variables(template):
    """Return random variables, with moving statistics and biases that reveal a forgotten or misplaced batch norm."""
    rng = np.random.default_rng(0)
    draws = {
        "kernel": lambda shape: rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape),
        "bias": lambda shape: rng.normal(0, 0.2, shape),
        "mean": lambda shape: rng.normal(0, 0.3, shape),
        "var": lambda shape: rng.uniform(0.5, 1.5, shape),
    }
    return jax.tree_util.tree_map_with_path(lambda path, leaf: draws[path[-1].key](leaf.shape).astype(np.float32), template)


def test_folding_changes_nothing_on_a_part():
    """On the stem and first block with a small picture; the golden test compares the whole net with Keras."""
    x = jax.random.normal(jax.random.key(0), (1, 75, 75, 3))
    variables = _some_variables(shapes_of(InceptionV3("mixed0"), *x.shape)[1])
    expected = jax.jit(InceptionV3("mixed0").apply)(variables, x)
    found = jax.jit(InceptionV3("mixed0", folded=True).apply)(fold_batch_norm(variables), x)
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(jnp.abs(expected).max()))


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Keras' model with all end points as outputs, and ours with its weights, read from the file that Keras saves."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    body = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(body.output)
    model = keras.Model(body.input, keras.layers.Dense(1000, name="predictions")(pooled))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith("batch_normalization"):
            bias, mean, var = layer.get_weights()
            layer.set_weights([rng.normal(0, 0.2, bias.shape), rng.normal(0, 0.3, mean.shape), rng.uniform(0.5, 1.5, var.shape)])
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([kernel, rng.normal(0, 0.2, bias.shape)])
    path = tmp_path_factory.mktemp("keras") / "inception_v3.h5"
    model.save(path)
    like = shapes_of(InceptionV3("logits"), 1, 299, 299, 3)[1]
    variables, _ = load_pretrained(find_encoder("inception_v3").weights, str(path), path.parent, like)
    names = [*END_POINTS[1:-1], "predictions"]
    return keras.Model(model.input, [model.get_layer(name).output for name in names]), variables


@pytest.mark.golden
@pytest.mark.parametrize("size_px", [pytest.param(299, marks=pytest.mark.long), 139, 75])
def test_equals_keras_at_every_end_point(reference, size_px):
    model, variables = reference
    x = np.random.default_rng(size_px).uniform(-1, 1, (1, size_px, size_px, 3)).astype(np.float32)
    expected = dict(zip(END_POINTS[1:], (np.asarray(value) for value in model(x, training=False)), strict=True))
    ours = {
        "unfolded": (InceptionV3("logits"), variables),
        "folded": (InceptionV3("logits", folded=True), fold_batch_norm(variables)),
    }
    for kind, (module, weights) in ours.items():
        found = jax.jit(lambda weights, x, module=module: module.apply(weights, x, method="end_points"))(weights, x)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-4 * np.abs(value).max(), err_msg=f"{kind} {name}")
