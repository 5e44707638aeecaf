"""InceptionV3, the frame encoder of system A."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.conv_block import ConvBlock, fold_batch_norm

__all__ = ["END_POINTS", "InceptionV3", "fold_batch_norm"]

END_POINTS = ("stem", *(f"mixed{index}" for index in range(11)), "avg_pool", "logits")


class _Block(nn.Module):
    """A part of the network; its convolutions are `conv0`, `conv1`, ... in the order that Keras creates them."""

    wire: Callable[..., jax.Array]
    folded: bool
    winograd: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        count = 0

        def conv(x, channels, height=1, width=1, stride=1, padding="SAME"):
            nonlocal count
            block = ConvBlock(channels, (height, width), stride, padding, folded=self.folded, winograd=self.winograd, name=f"conv{count}")
            count += 1
            return block(x, train)

        return self.wire(conv, x)


def _max_pool(x):
    return nn.max_pool(x, (3, 3), (2, 2))


def _avg_pool(x):
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def _stem(conv, x):
    x = conv(x, 32, 3, 3, stride=2, padding="VALID")
    x = conv(x, 32, 3, 3, padding="VALID")
    x = _max_pool(conv(x, 64, 3, 3))
    x = conv(x, 80, padding="VALID")
    return _max_pool(conv(x, 192, 3, 3, padding="VALID"))


def _mixed_35(pool_channels):
    """Blocks 0 to 2, 35 x 35 positions at 299 pixels."""

    def wire(conv, x):
        single = conv(x, 64)
        five = conv(conv(x, 48), 64, 5, 5)
        double = conv(conv(conv(x, 64), 96, 3, 3), 96, 3, 3)
        pooled = conv(_avg_pool(x), pool_channels)
        return jnp.concatenate([single, five, double, pooled], axis=-1)

    return wire


def _reduce_to_17(conv, x):
    """Block 3."""
    three = conv(x, 384, 3, 3, stride=2, padding="VALID")
    double = conv(conv(conv(x, 64), 96, 3, 3), 96, 3, 3, stride=2, padding="VALID")
    return jnp.concatenate([three, double, _max_pool(x)], axis=-1)


def _mixed_17(channels):
    """Blocks 4 to 7, 17 x 17 positions."""

    def wire(conv, x):
        single = conv(x, 192)
        seven = conv(conv(conv(x, channels), channels, 1, 7), 192, 7, 1)
        double = conv(conv(conv(x, channels), channels, 7, 1), channels, 1, 7)
        double = conv(conv(double, channels, 7, 1), 192, 1, 7)
        pooled = conv(_avg_pool(x), 192)
        return jnp.concatenate([single, seven, double, pooled], axis=-1)

    return wire


def _reduce_to_8(conv, x):
    """Block 8."""
    three = conv(conv(x, 192), 320, 3, 3, stride=2, padding="VALID")
    seven = conv(conv(conv(x, 192), 192, 1, 7), 192, 7, 1)
    seven = conv(seven, 192, 3, 3, stride=2, padding="VALID")
    return jnp.concatenate([three, seven, _max_pool(x)], axis=-1)


def _mixed_8(conv, x):
    """Blocks 9 and 10, 8 x 8 positions."""
    single = conv(x, 320)
    three = conv(x, 384)
    three = [conv(three, 384, 1, 3), conv(three, 384, 3, 1)]
    double = conv(conv(x, 448), 384, 3, 3)
    double = [conv(double, 384, 1, 3), conv(double, 384, 3, 1)]
    pooled = conv(_avg_pool(x), 192)
    return jnp.concatenate([single, *three, *double, pooled], axis=-1)


_WIRES = {
    "stem": _stem,
    "mixed0": _mixed_35(32),
    "mixed1": _mixed_35(64),
    "mixed2": _mixed_35(64),
    "mixed3": _reduce_to_17,
    "mixed4": _mixed_17(128),
    "mixed5": _mixed_17(160),
    "mixed6": _mixed_17(160),
    "mixed7": _mixed_17(192),
    "mixed8": _reduce_to_8,
    "mixed9": _mixed_8,
    "mixed10": _mixed_8,
}


class InceptionV3(nn.Module):
    """InceptionV3 up to a named end point.

    Parameters: blocks `stem`, `mixed0` ... `mixed10`, in each `conv0`, `conv1`, ... in the order that Keras creates them, in each
    what `ConvBlock` has; `predictions` is the layer of the classes. 21,802,784 numbers without it, 23,851,784 with it.

    Source: Szegedy et al. 2016, arXiv 1512.00567, as keras.applications and TF-Slim publish its weights: batch norm without scale,
    epsilon 1e-3, average pooling that does not count the border.

    Attributes:
      end_point: one of END_POINTS; "avg_pool" is the mean over positions of "mixed10", 2048 numbers; "logits" those
        of the 1000 classes of ImageNet.
      folded: the batch norms are folded into the convolutions; for frozen use.
      winograd: kernels are transformed ones (`winograd.transform_kernels`), where the batch norms are folded; for frozen use.
    """

    end_point: str = "avg_pool"
    folded: bool = False
    winograd: bool = False

    @nn.compact
    def end_points(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
        """All end points up to `end_point` by name, for x (N, H, W, 3) with H, W of at least 75.

        Raises:
          ValueError: an unknown end point, or pictures that are too small or not of three channels.
        """
        if self.end_point not in END_POINTS:
            raise ValueError(f"expected an end point of InceptionV3 among {END_POINTS}, got {self.end_point!r}")
        if x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < 75:
            raise ValueError(f"InceptionV3 takes pictures (N, H, W, 3) of 75 pixels at least, got {x.shape}; 299 is its own size")
        if jnp.issubdtype(x.dtype, jnp.integer):
            x = x.astype(jnp.float32) / 127.5 - 1
        found: dict[str, jax.Array] = {}
        for name, wire in _WIRES.items():
            x = found[name] = _Block(wire, self.folded, self.winograd, name=name)(x, train)
            if name == self.end_point:
                return found
        x = found["avg_pool"] = jnp.mean(x, axis=(1, 2))
        if self.end_point == "logits":
            found["logits"] = nn.Dense(1000, name="predictions")(x)
        return found

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Encode x (N, H, W, 3), uint8 in [0, 255] or float32 in [-1, 1], to the features at `end_point`, (N, 2048) by default.

        train=True normalises by the batch's statistics (collection "batch_stats" must be mutable).
        """
        return self.end_points(x, train=train)[self.end_point]
