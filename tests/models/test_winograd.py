"""Winograd's way gives what the plain convolution gives, for pictures of any size, and narrow layers stay as they are."""

from __future__ import annotations

import flax.linen as nn
import jax
import numpy as np
import pytest

from avemo_jax.models import winograd
from avemo_jax.models.encoders import FAMILIES
from avemo_jax.models.vgg import VGG16
from avemo_jax.models.vggish import VGGish
from avemo_jax.models.winograd import conv3x3, transform_kernels


class Conv3x3(nn.Module):
    channels: int
    winograd: bool = False

    @nn.compact
    def __call__(self, x):
        return conv3x3(x, self.channels, winograd=self.winograd, name="conv")


@pytest.mark.parametrize("size", [(4, 4), (8, 12), (3, 3), (1, 9), (7, 10)])
def test_it_convolves(size, monkeypatch):
    monkeypatch.setattr(winograd, "_FEWEST_CHANNELS", 5)
    x = np.random.default_rng(0).normal(size=(2, *size, 6)).astype(np.float32)
    variables = Conv3x3(5).init(jax.random.key(1), x)
    variables = {"params": {"conv": variables["params"]["conv"] | {"bias": np.arange(5, dtype=np.float32)}}}
    plain = Conv3x3(5).apply(variables, x)
    transformed = transform_kernels(variables)
    assert transformed["params"]["conv"]["kernel"].shape == (36, 6, 5)
    np.testing.assert_allclose(Conv3x3(5, winograd=True).apply(transformed, x), plain, atol=3e-5)


@pytest.mark.parametrize(("net", "shape"), [(VGG16, (1, 32, 32, 3)), (VGGish, (1, 16, 16))])
def test_a_net_with_transformed_kernels_has_the_same_features(net, shape):
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    point = "global_max"
    variables = net(point).init(jax.random.key(0), x)
    transformed = transform_kernels(variables)
    kinds = {name: leaf["kernel"].ndim for name, leaf in transformed["params"].items()}
    assert kinds["conv2_1" if net is VGG16 else "conv2"] == 4 and kinds["conv4_2"] == 3
    plain = np.asarray(net(point).apply(variables, x))
    found = net(point, winograd=True).apply(transformed, x)
    np.testing.assert_allclose(found, plain, atol=2e-4 * np.abs(plain).max())


def test_accelerators_keep_plain_kernels():
    assert FAMILIES["vgg16"].fold_on("cpu") and not FAMILIES["vgg16"].fold_on("gpu")
    assert FAMILIES["inception_v3"].fold_on("gpu") and not FAMILIES["face_landmarks"].fold_on("cpu")
