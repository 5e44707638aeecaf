"""The convolution block of Inception networks (convolution, batch norm without scale, ReLU), and the folding of its norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from avemo_jax.models import winograd
from avemo_jax.models.folding import folded

EPSILON = 1e-3  # of all batch norms


def product_if_pointwise(x, kernel, strides, padding, **options):
    """Return a convolution; one with a 1 x 1 kernel as a matrix product, which on CPU is faster than XLA's convolution."""
    if set(kernel.shape[:-2]) == {1} and set(strides) == {1}:
        return jnp.matmul(x, kernel.reshape(kernel.shape[-2:]), precision=options.get("precision"))
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, **options)


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm without scale, ReLU; folded: convolution with bias, ReLU.

    Parameters conv/kernel (*size, C, C') and norm/bias (C',); collection "batch_stats" has norm/mean and norm/var (C',). Folded:
    conv/kernel and conv/bias (C',) (`fold_batch_norm`).

    Attributes:
      channels: C'.
      size: size of the kernel along each axis.
      stride: stride along every axis.
      padding: "SAME", as in TensorFlow, or "VALID".
      folded: whether the batch norm is folded into the convolution, for frozen use.
      winograd: whether the folded kernel is transformed where the layer is wide enough (`winograd.transform_kernels`), for frozen use.
      momentum: decay per step of the moving statistics.
    """

    channels: int
    size: tuple[int, ...]
    stride: int = 1
    padding: str = "SAME"
    folded: bool = False
    momentum: float = 0.99
    winograd: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Map x (N, ..., C), with one spatial axis for each of `size`, to (N, ..., C')."""
        slides = self.stride == 1 and self.padding == "SAME"
        if self.winograd and self.folded and slides and winograd.pays(self.size, x.shape[-1], self.channels):
            return nn.relu(winograd.TransformedConv(self.channels, self.size, name="conv")(x))
        x = nn.Conv(
            self.channels,
            self.size,
            (self.stride,) * len(self.size),
            self.padding,
            use_bias=self.folded,
            kernel_init=nn.initializers.he_normal(),
            conv_general_dilated=product_if_pointwise,
            name="conv",
        )(x)
        if not self.folded:
            x = nn.BatchNorm(use_running_average=not train, momentum=self.momentum, epsilon=EPSILON, use_scale=False, name="norm")(x)
        return nn.relu(x)


def fold_batch_norm(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a network with the batch norms of all `ConvBlock`s folded, for the same network with folded=True."""
    params = traverse_util.flatten_dict(dict(variables["params"]))
    statistics = traverse_util.flatten_dict(dict(variables["batch_stats"]))
    folds = {}
    for path, value in params.items():
        block = path[:-2]
        if (*block, "norm", "var") not in statistics:
            folds[path] = value
        elif path[-2:] == ("conv", "kernel"):
            mean, variance = (statistics[*block, "norm", name] for name in ("mean", "var"))
            folds[path], folds[*block, "conv", "bias"] = folded(
                value, mean=mean, variance=variance, bias=params[*block, "norm", "bias"], epsilon=EPSILON
            )
    return {"params": traverse_util.unflatten_dict(folds)}
