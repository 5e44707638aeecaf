import jax
import numpy as np
import pytest
from encoder_shapes import num_params, shapes_of
from shared_data import shared_data

from avemo_jax.models.encoders.vggish.module import END_POINTS, VGGish


def test_it_has_the_parameters_of_the_original():
    features, variables = shapes_of(VGGish(), 2, 96, 64)
    assert features.shape == (2, 128)
    assert num_params(variables) == 72_141_184
    assert set(variables["params"]) == {"conv1", "conv2", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "fc1_1", "fc1_2", "fc2"}


@pytest.mark.parametrize(
    ("end_point", "shape"), [("conv4_2", (2, 12, 8, 512)), ("pool4", (2, 6, 4, 512)), ("global_max", (2, 512)), ("fc1_2", (2, 4096))]
)
def test_end_points_have_their_shapes(end_point, shape):
    assert shapes_of(VGGish(end_point), 2, 96, 64, 1)[0].shape == shape


def test_convolutions_accept_longer_patches_and_later_end_points_refuse_them():
    features, variables = shapes_of(VGGish("global_max"), 2, 496, 64)
    assert features.shape == (2, 512)
    # system D: 512-d in, dense 512, dense 256, 7 classes
    assert num_params(variables) == 4_499_712
    with pytest.raises(ValueError, match=r"96 frames x 64 mel bands.*logmel_patches"):
        shapes_of(VGGish(), 2, 496, 64)
    with pytest.raises(ValueError, match=r"among .*'embedding'.* got 'fc3'"):
        shapes_of(VGGish("fc3"), 2, 96, 64)


@pytest.mark.golden
def test_equals_torch_layer_by_layer():
    """It is compared with an independent implementation in torch's layout (channels first, flattened as channels last)."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = np.random.default_rng(0).normal(size=(2, 96, 64)).astype(np.float32)
    rng = np.random.default_rng(1)
    shapes = shapes_of(VGGish(), 2, 96, 64)[1]["params"]

    def fill(leaf):
        deviation = 0.1 if len(leaf.shape) == 1 else np.sqrt(2 / np.prod(leaf.shape[:-1]))
        return rng.standard_normal(leaf.shape, np.float32) * np.float32(deviation)

    params = jax.tree.map(fill, shapes)
    found = jax.jit(lambda params, x: VGGish().apply({"params": params}, x, method="end_points"))(params, x)
    names = END_POINTS[: END_POINTS.index("embedding") + 1]
    assert set(found) == set(names)

    def tensor(name, leaf):
        return torch.from_numpy(np.array(params[name][leaf]))

    expected = {}
    y = torch.from_numpy(x)[:, None]
    for name in names:
        if name.startswith("conv"):
            y = functional.relu(functional.conv2d(y, tensor(name, "kernel").permute(3, 2, 0, 1), tensor(name, "bias"), padding=1))
        elif name.startswith("pool"):
            y = functional.max_pool2d(y, 2)
        elif name == "global_max":
            expected[name] = y.amax(dim=(2, 3))
            y = y.permute(0, 2, 3, 1).flatten(1)
            continue
        else:
            y = y @ tensor("fc2" if name == "embedding" else name, "kernel") + tensor("fc2" if name == "embedding" else name, "bias")
            y = y if name == "embedding" else functional.relu(y)
        expected[name] = y.permute(0, 2, 3, 1) if y.ndim == 4 else y
    for name in names:
        scale = float(expected[name].abs().max())
        np.testing.assert_allclose(found[name], expected[name].numpy(), atol=1e-4 * scale, err_msg=name)


def test_post_processing_equals_numpy():
    """PCA and whitening, clipping and 8 bits as in vggish_postprocess, with the published matrix."""
    with np.load(shared_data("models", "vggish_pca", "vggish_pca_params.npz"), allow_pickle=False) as file:
        vectors, means = file["pca_eigen_vectors"], file["pca_means"]
    patches = jax.random.normal(jax.random.key(1), (3, 96, 64))
    module = VGGish("embedding_quantized")
    # all variables but the last bias are zero, so that the embeddings are these rows, without seventy million random numbers
    embedding = np.random.default_rng(0).normal(means, 0.3).astype(np.float32)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), dict(shapes_of(module, *patches.shape)[1]))
    variables["params"]["fc2"]["bias"] = embedding
    variables["batch_stats"] = {"pca_eigen_vectors": vectors, "pca_means": means}
    found = module.apply(variables, patches, method="end_points")
    applied = (vectors @ (embedding.reshape(-1, 1) - means.reshape(-1, 1))).reshape(-1)
    clipped = np.clip(applied, -2, 2)
    assert 0 < np.sum(np.abs(applied) > 2) < 128
    np.testing.assert_allclose(found["embedding"], np.tile(embedding, (3, 1)), rtol=1e-6)
    np.testing.assert_allclose(found["embedding_pca"], np.tile(clipped, (3, 1)), atol=1e-4)
    quantized = ((clipped + 2) * (255 / 4)).astype(np.uint8)
    differences = np.asarray(found["embedding_quantized"]) - quantized
    assert np.mean(differences == 0) > 0.95  # rounding may change a value by one
    assert np.max(np.abs(differences)) <= 1
    assert found["embedding_quantized"].min() == 0
    assert found["embedding_quantized"].max() == 255


def test_the_pca_is_not_a_parameter():
    variables = shapes_of(VGGish("embedding_pca"), 1, 96, 64)[1]
    assert num_params(variables["params"]) == 72_141_184
    assert jax.tree.map(lambda leaf: leaf.shape, variables["batch_stats"]) == {"pca_eigen_vectors": (128, 128), "pca_means": (128,)}
