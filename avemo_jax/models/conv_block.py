"""The block that Inception networks are made of: convolution, batch norm without scale, ReLU; and folding the norm away."""

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
    """A 1 x 1 convolution as a matrix product: the same numbers, and on CPU faster than XLA's convolution."""
    if set(kernel.shape[:-2]) == {1} and set(strides) == {1}:
        return jnp.matmul(x, kernel.reshape(kernel.shape[-2:]), precision=options.get("precision"))
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, **options)


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm without scale, ReLU; folded: convolution with bias, ReLU.

    Parameters conv/kernel (*size, C, C') and norm/bias (C',); collection "batch_stats" has norm/mean and norm/var (C',). Folded:
    conv/kernel and conv/bias (C',) (`fold_batch_norm`).

    Attributes:
      channels: C'.
      size: of the kernel, an axis each.
      stride: along every axis.
      padding: "SAME", as TensorFlow pads, or "VALID".
      folded: the batch norm is folded into the convolution; for frozen use.
      winograd: the kernel is a transformed one where that pays (`winograd.transform_kernels`), folded; for frozen use.
      momentum: what moving statistics keep of themselves in a step.
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
        """Map x (N, ..., C), as many axes between as `size` has."""
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
    """Fold the batch norms of all `ConvBlock`s of a network into its convolutions: the variables of the same net with folded=True."""
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
