import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models.cnn import CNN, ConvPool, ProductConv, max_pool_2x2


@pytest.mark.parametrize("shape", [(2, 9, 12, 5), (1, 96, 64, 1), (3, 1, 2, 4), (12, 20, 13, 2), (7, 16, 16, 1), (2, 5, 4, 33)])
def test_convolution_by_products_equals_flax_convolution(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    reference = nn.Conv(7, (3, 3), bias_init=nn.initializers.normal())
    variables = filled_variables(reference, x)

    def squares(module, variables, x):
        return jnp.sum(module.apply(variables, x) ** 2)

    np.testing.assert_allclose(ProductConv(7).apply(variables, x), reference.apply(variables, x), atol=1e-5)
    ours = jax.jit(jax.grad(squares, argnums=(1, 2)), static_argnums=0)(ProductConv(7), variables, x)
    theirs = jax.jit(jax.grad(squares, argnums=(1, 2)), static_argnums=0)(reference, variables, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max())), ours, theirs)


def test_it_compiles_without_an_xla_convolution():
    x = jnp.zeros((2, 8, 8, 1))
    variables = filled_variables(CNN((4,)), x)
    gradient = jax.grad(lambda variables: jnp.sum(jax.jit(CNN((4,)).apply)(variables, x)))
    assert "convolution" not in jax.jit(gradient).lower(variables).as_text()


@pytest.mark.parametrize("size", [(8, 6), (9, 7)])
def test_pooling_equals_flax_pooling(size):
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    np.testing.assert_array_equal(max_pool_2x2(x), nn.max_pool(x, (2, 2), (2, 2)))


def test_bytes_are_scaled_and_patches_get_a_channel():
    pictures = jax.random.randint(jax.random.key(0), (2, 16, 12), 0, 256).astype(jnp.uint8)
    variables = filled_variables(CNN((4, 6)), pictures)
    encoded = jax.jit(CNN((4, 6)).apply)(variables, pictures)
    assert encoded.shape == (2, 6)
    as_floats = pictures[..., None].astype(jnp.float32) / 127.5 - 1
    np.testing.assert_allclose(jax.jit(CNN((4, 6)).apply)(variables, as_floats), encoded, atol=1e-6)


def test_pictures_do_not_affect_each_other():
    pictures = jax.random.normal(jax.random.key(0), (3, 16, 16, 1))
    variables = filled_variables(CNN((4,)), pictures)
    together = jax.jit(CNN((4,)).apply)(variables, pictures)
    np.testing.assert_allclose(jax.jit(CNN((4,)).apply)(variables, pictures[1:2]), together[1:2], atol=1e-6)


def test_an_empty_picture_is_finite():
    pictures = jnp.zeros((1, 16, 16, 1))
    variables = filled_variables(CNN((4,)), pictures)
    gradients = jax.grad(lambda variables: jnp.sum(jax.jit(CNN((4,)).apply)(variables, pictures)))(variables)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


class PlainConvPool(nn.Module):
    """System C's image network up to its dense layer, with Flax's layers."""

    @nn.compact
    def __call__(self, x):
        for index, num_channels in enumerate((4, 6)):
            x = nn.max_pool(nn.relu(nn.Conv(num_channels, (3, 3), name=f"conv{index}")(x)), (2, 2), (2, 2))
        return x.reshape(len(x), -1)


def test_conv_pool_equals_convolutions_and_pooling_of_flax():
    pictures = jax.random.randint(jax.random.key(0), (2, 16, 13, 3), 0, 256).astype(jnp.uint8)
    scaled = pictures.astype(jnp.float32) / 255
    variables = filled_variables(PlainConvPool(), scaled)
    expected = PlainConvPool().apply(variables, scaled)
    assert expected.shape == (2, 4 * 3 * 6)
    np.testing.assert_allclose(ConvPool((4, 6)).apply(variables, pictures), expected, atol=1e-5)
    np.testing.assert_allclose(ConvPool((4, 6)).apply(variables, scaled), expected, atol=1e-5)
    assert jax.tree.map(jnp.shape, filled_variables(ConvPool((4, 6)), pictures)) == jax.tree.map(jnp.shape, variables)


def test_conv_pool_takes_patches_and_drops_after_each_block():
    patches, shapes = jax.random.normal(jax.random.key(0), (2, 16, 12)), []
    variables = filled_variables(ConvPool((4, 6)), patches)
    whole = ConvPool((4, 6)).apply(variables, patches)
    np.testing.assert_array_equal(whole, ConvPool((4, 6)).apply(variables, patches[..., None]))
    halved = ConvPool((4, 6)).apply(variables, patches, lambda x: shapes.append(x.shape) or x / 2)
    assert shapes == [(2, 8, 6, 4), (2, 4, 3, 6)] and (halved < whole).any()
