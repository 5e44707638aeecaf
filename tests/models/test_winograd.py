"""Minimal filtering equals direct convolution, for pictures of any size, and narrow layers are not transformed."""

from __future__ import annotations

from fractions import Fraction

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models import winograd
from avemo_jax.models.conv_block import ConvBlock
from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.encoders.vgg.module import VGG16
from avemo_jax.models.encoders.vggish.module import VGGish
from avemo_jax.models.winograd import conv3x3, minimal_filter, transform_kernel, transform_kernels


class Conv3x3(nn.Module):
    channels: int
    winograd: bool = False

    @nn.compact
    def __call__(self, x):
        return conv3x3(x, self.channels, winograd=self.winograd, name="conv")


def shapes_of(net, x):
    return jax.eval_shape(net.init, jax.random.key(0), x)


@pytest.mark.parametrize(("num_taps", "points"), [(3, (0, 1, -1, 2, -2)), (2, (0, 3, Fraction(1, 2), -1))])
def test_a_filter_of_one_tile_is_exact(num_taps, points):
    made = minimal_filter(num_taps, points)
    assert made.input.shape == (len(points) + 1,) * 2 and (made.input == np.round(made.input)).all()
    rng = np.random.default_rng(0)
    inputs, taps = rng.normal(size=len(points) + 1), rng.normal(size=num_taps)
    found = made.output @ ((made.kernel @ taps) * (made.input @ inputs))
    np.testing.assert_allclose(found, np.correlate(inputs, taps), rtol=1e-12)


@pytest.mark.parametrize("edges", winograd._FEWEST_CHANNELS)
@pytest.mark.parametrize(("size", "few_rows"), [((4, 4), 300), ((3, 9), 300), ((17, 10), 0)])
def test_it_convolves(size, edges, few_rows, monkeypatch):
    monkeypatch.setattr(winograd, "_FEW_ROWS", few_rows)
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, *size, 6)).astype(np.float32), rng.normal(size=(*edges, 6, 5)).astype(np.float32)
    plain = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    transformed = transform_kernel(kernel)
    assert transformed.ndim == 3
    found = jax.jit(winograd.convolve, static_argnums=2)(x, transformed, edges)
    np.testing.assert_allclose(found, plain, atol=2e-5 * np.abs(plain).max())


def test_a_layer_is_transformed_with_its_bias(monkeypatch):
    monkeypatch.setitem(winograd._FEWEST_CHANNELS, (3, 3), 5)
    x = np.random.default_rng(0).normal(size=(2, 7, 10, 6)).astype(np.float32)
    variables = filled_variables(Conv3x3(5), x)
    plain = Conv3x3(5).apply(variables, x)
    transformed = transform_kernels(variables, shapes_of(Conv3x3(5, winograd=True), x))
    assert transformed["params"]["conv"]["kernel"].shape == (36, 6, 5)
    np.testing.assert_allclose(Conv3x3(5, winograd=True).apply(transformed, x), plain, atol=3e-5)


@pytest.mark.parametrize(("net", "shape"), [(VGG16, (1, 32, 32, 3)), (VGGish, (1, 16, 16))])
def test_a_net_with_transformed_kernels_has_the_same_features(net, shape):
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    point = "global_max"
    variables = filled_variables(net(point), x, deviation=0.05)
    transformed = transform_kernels(variables, shapes_of(net(point, winograd=True), x))
    kinds = {name: leaf["kernel"].ndim for name, leaf in transformed["params"].items()}
    assert kinds["conv2_1" if net is VGG16 else "conv2"] == 4 and kinds["conv4_2"] == 3
    plain = np.asarray(net(point).apply(variables, x))
    found = net(point, winograd=True).apply(transformed, x)
    np.testing.assert_allclose(found, plain, atol=2e-4 * np.abs(plain).max())


@pytest.mark.parametrize(
    ("block", "is_transformed"),
    [
        (ConvBlock(128, (1, 7)), True),
        (ConvBlock(160, (7, 1)), True),
        (ConvBlock(120, (1, 7)), False),
        (ConvBlock(256, (3, 3)), False),  # the input has 128 channels
        (ConvBlock(128, (1, 7), stride=2), False),
        (ConvBlock(128, (1, 7), padding="VALID"), False),
    ],
)
def test_only_wide_blocks_of_stride_1_are_transformed(block, is_transformed):
    x = jax.ShapeDtypeStruct((1, 17, 17, 128), jnp.float32)
    frozen = block.clone(folded=True, winograd=True)
    kernel = jax.eval_shape(lambda x: frozen.init(jax.random.key(0), x, False), x)["params"]["conv"]["kernel"]
    assert kernel.ndim == (3 if is_transformed else 4)


def test_inception_v3_is_folded_and_transformed():
    """17 x 17 positions at 299 px are 3 x 3 here; all blocks of 7 taps are computed."""
    spec = EncoderSpec("inception_v3", "mixed9")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 75, 75, 3)).astype(np.float32)
    variables = filled_variables(spec.module(), x[:1])
    net, transformed = spec.frozen_module(variables, (75, 75, 3), "float32", "cpu")
    blocks = [block for block, convs in transformed["params"].items() for conv in convs.values() if conv["conv"]["kernel"].ndim == 3]
    assert set(blocks) == {f"mixed{index}" for index in range(4, 10)} and len(blocks) == 4 * 6 + 2 + 5
    plain = np.asarray(jax.jit(spec.module().apply)(variables, x))
    found = np.asarray(jax.jit(net.apply)(transformed, x))
    np.testing.assert_allclose(found, plain, atol=1e-4 * np.abs(plain).max())


def test_accelerators_keep_plain_kernels():
    assert [find_encoder("vgg16").frozen_on(backend) for backend in ("cpu", "gpu")] == [("winograd",), ()]
    assert [find_encoder("inception_v3").frozen_on(backend) for backend in ("cpu", "gpu")] == [("folded", "winograd"), ("folded",)]
    assert find_encoder("face_landmarks").frozen_on("cpu") == ()


def test_xla_still_computes_direct_convolutions_on_cpu():
    """Winograd is needed as long as this holds. If XLA uses another library for convolutions, measure the gain again with the side "plain"
    of `python -m benchmarks.encoders`; if it is below a tenth, remove winograd.py."""
    x, kernel = np.zeros((1, 16, 16, 256), np.float32), np.zeros((3, 3, 256, 256), np.float32)
    layout = ("NHWC", "HWIO", "NHWC")
    convolve = jax.jit(lambda x, kernel: jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout))
    compiled = convolve.lower(x, kernel).compile().as_text()
    assert " convolution(" in compiled and "custom-call" not in compiled
