"""mini-Xception, a small net for the emotion of a face, trained on FER2013."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from avemo_jax.models.folding import folded
from avemo_jax.models.separable import SeparableConv

EPSILON = 1e-3  # of all batch norms
SIZE_PX = 64
CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# In the order of computation. "features" hangs on "block4" and is no input of what follows.
END_POINTS = ("stem", "block1", "block2", "block3", "block4", "features", "global_avg")

_STEM_CHANNELS = 8
_BLOCK_CHANNELS = (16, 32, 64, 128)
_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, as OpenCV's grey is made


class MiniXception(nn.Module):
    """mini-Xception up to a named end point; what lies beyond it has no parameters.

    Parameters: in `stem` `conv1`, `conv2` with kernel (3, 3, C, C') and `norm1`, `norm2`; in `block1` ... `block4` `shortcut` with kernel
    (1, 1, C, C'), `separable1`, `separable2` with depthwise (3, 3, C) and pointwise (C, C'), and a norm of each: `shortcut_norm`, `norm1`,
    `norm2`; `classes` with kernel (3, 3, 128, 7) and bias. Norms have scale and bias (C,), in "batch_stats" mean and var; folded nets have
    a bias in each convolution in their place (`fold_batch_norm`). 58,423 numbers with the moving statistics.

    Source: Arriaga et al. 2017, arXiv 1710.07557, as its authors publish the weights: two convolutions without padding, four blocks
    with a shortcut, a convolution to the classes and their mean over positions. Differs: pictures that are reduced to 64 px are
    averaged over the pixels between, where OpenCV's bilinear reduction skips them.

    Attributes:
      end_point: one of END_POINTS. "features" is the mean over positions of "block4", 128 numbers; "global_avg" the logits of CLASSES.
      folded: the batch norms are folded into the convolutions; for frozen use.
    """

    end_point: str = "features"
    folded: bool = False

    @nn.compact
    def end_points(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
        """All end points up to `end_point` by name, for faces x as `__call__` takes them.

        Raises:
          ValueError: an unknown end point, or pictures of another shape.
        """
        if self.end_point not in END_POINTS:
            raise ValueError(f"expected an end point of mini-Xception among {END_POINTS}, got {self.end_point!r}")
        x = _prepared(x)
        found = {"stem": (x := _Stem(self.folded, name="stem")(x, train))}
        for number, channels in enumerate(_BLOCK_CHANNELS, start=1):
            if self.end_point in found:
                return found
            name = f"block{number}"
            x = found[name] = _Block(self.folded, channels, name=name)(x, train)
        if self.end_point in found:
            return found
        found["features"] = jnp.mean(x, axis=(1, 2))
        if self.end_point == "global_avg":
            x = nn.Conv(len(CLASSES), (3, 3), kernel_init=nn.initializers.he_normal(), name="classes")(x)
            found["global_avg"] = jnp.mean(x, axis=(1, 2))
        return found

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Encode faces to the features at `end_point`, (N, 128) by default.

        Args:
          x: uint8 in [0, 255], RGB (N, H, W, 3) or grey (N, H, W, 1), of any size; or float32 in [-1, 1], grey, (N, 64, 64, 1).
          train: True normalises by the batch's statistics (collection "batch_stats" must be mutable).
        """
        return self.end_points(x, train=train)[self.end_point]


def _prepared(x: jax.Array) -> jax.Array:
    """Grey faces of 64 px in [-1, 1]."""
    is_picture = jnp.issubdtype(x.dtype, jnp.integer)
    if x.ndim != 4 or x.shape[-1] not in ((1, 3) if is_picture else (1,)) or not (is_picture or x.shape[1:3] == (SIZE_PX, SIZE_PX)):
        raise ValueError(
            f"mini-Xception takes faces (N, H, W, 3) or (N, H, W, 1) of type uint8, or (N, {SIZE_PX}, {SIZE_PX}, 1) of type float32, got "
            f"{x.shape} of type {x.dtype}"
        )
    if not is_picture:
        return x
    x = x.astype(jnp.float32)
    if x.shape[-1] == 3:
        x = jnp.sum(x * jnp.asarray(_LUMA), axis=-1, keepdims=True)
    if x.shape[1:3] != (SIZE_PX, SIZE_PX):
        x = jax.image.resize(x, (len(x), SIZE_PX, SIZE_PX, 1), "bilinear")
    return x / 127.5 - 1


class _Normed(nn.Module):
    """What parts of the net share: a convolution and its batch norm, one thing when folded."""

    folded: bool

    def normed(self, x: jax.Array, conv: nn.Module, name: str, train: bool) -> jax.Array:
        x = conv(x)
        return x if self.folded else nn.BatchNorm(use_running_average=not train, momentum=0.99, epsilon=EPSILON, name=name)(x)

    def conv(self, channels: int, width: int, stride: int, padding: str, name: str) -> nn.Conv:
        size, strides = (width, width), (stride, stride)
        return nn.Conv(channels, size, strides, padding, use_bias=self.folded, kernel_init=nn.initializers.he_normal(), name=name)


class _Stem(_Normed):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for number in (1, 2):
            conv = self.conv(_STEM_CHANNELS, 3, 1, "VALID", f"conv{number}")
            x = nn.relu(self.normed(x, conv, f"norm{number}", train))
        return x


class _Block(_Normed):
    channels: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        shortcut = self.normed(x, self.conv(self.channels, 1, 2, "SAME", "shortcut"), "shortcut_norm", train)
        x = nn.relu(self.normed(x, SeparableConv(self.channels, use_bias=self.folded, name="separable1"), "norm1", train))
        x = self.normed(x, SeparableConv(self.channels, use_bias=self.folded, name="separable2"), "norm2", train)
        return nn.max_pool(x, (3, 3), (2, 2), "SAME") + shortcut


def fold_batch_norm(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Fold the batch norms of `MiniXception` into its convolutions: the variables of the same net with folded=True."""
    params = traverse_util.flatten_dict(dict(variables["params"]))
    statistics = traverse_util.flatten_dict(dict(variables["batch_stats"]))
    norm_of = {"conv1": "norm1", "conv2": "norm2", "separable1": "norm1", "separable2": "norm2", "shortcut": "shortcut_norm"}
    folds = {path: values for path, values in params.items() if path[-2] not in norm_of.values()}
    for path in [path for path in folds if path[-2] in norm_of and path[-1] in ("kernel", "pointwise")]:
        norm = (*path[:-2], norm_of[path[-2]])
        mean, variance = (statistics[*norm, name] for name in ("mean", "var"))
        bias, scale = (params[*norm, name] for name in ("bias", "scale"))
        folds[path], folds[*path[:-1], "bias"] = folded(params[path], mean=mean, variance=variance, bias=bias, scale=scale, epsilon=EPSILON)
    return {"params": traverse_util.unflatten_dict(folds)}
