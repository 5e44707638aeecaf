"""I3D, the encoder of windows of frames or of optical flow: Inception-v1 whose kernels were inflated over time."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.conv_block import ConvBlock, fold_batch_norm

__all__ = ["END_POINTS", "I3D", "fold_batch_norm"]

# Channels of a mixed block: branch 0; reduced and 3 x 3 x 3 of branches 1 and 2; branch 3 after its pooling.
_MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Window and stride over frames, height, width.
_POOLS = {
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
# Channels, kernel, stride.
_CONVS = {"Conv3d_1a_7x7": (64, 7, 2), "Conv3d_2b_1x1": (64, 1, 1), "Conv3d_2c_3x3": (192, 3, 1)}
END_POINTS = (
    *("Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3", "Mixed_3b", "Mixed_3c"),
    *("MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool3d_5a_2x2", "Mixed_5b", "Mixed_5c"),
    *("avg_pool", "Logits"),
)
_MOMENTUM = 0.999


class _Branch(nn.Module):
    """Convolutions one after another, (name, channels, edge of the kernel) each."""

    convolutions: tuple[tuple[str, int, int], ...]
    folded: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for name, channels, edge in self.convolutions:
            x = ConvBlock(channels, (edge,) * 3, folded=self.folded, momentum=_MOMENTUM, name=name)(x, train)
        return x


class _Mixed(nn.Module):
    """Four branches over the same input, their channels one after another."""

    name_of_block: str
    folded: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        single, reduced1, conv1, reduced2, conv2, pooled = _MIXED[self.name_of_block]
        # the published checkpoints have this name once
        second = "Conv3d_0a_3x3" if self.name_of_block == "Mixed_5b" else "Conv3d_0b_3x3"
        branches = (
            (("Conv3d_0a_1x1", single, 1),),
            (("Conv3d_0a_1x1", reduced1, 1), ("Conv3d_0b_3x3", conv1, 3)),
            (("Conv3d_0a_1x1", reduced2, 1), (second, conv2, 3)),
            (("Conv3d_0b_1x1", pooled, 1),),
        )
        inputs = (x, x, x, nn.max_pool(x, (3, 3, 3), (1, 1, 1), "SAME"))
        outputs = [
            _Branch(convolutions, self.folded, name=f"Branch_{index}")(source, train)
            for index, (convolutions, source) in enumerate(zip(branches, inputs, strict=True))
        ]
        return jnp.concatenate(outputs, axis=-1)


class _Logits(nn.Module):
    """The classes; the published network convolves 1 x 1 x 1 and then averages over time, which comes to the same."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Conv(400, (1, 1, 1), name="Conv3d_0c_1x1")(x[:, None, None, None, :])[:, 0, 0, 0, :]


class I3D(nn.Module):
    """Inception-v1 I3D for windows of RGB frames or of optical flow, up to a named end point.

    Parameters are modules of the published names (`Conv3d_1a_7x7`, `Mixed_3b/Branch_0/Conv3d_0a_1x1`, ...), in each what `ConvBlock` has,
    and `Logits/Conv3d_0c_1x1`; the number of channels of the input decides between the two published networks.

    Source: Carreira and Zisserman 2017, arXiv 1705.07750, and the names and shapes of the checkpoints at deepmind/kinetics-i3d; batch norm
    without scale, epsilon 1e-3 and padding as Sonnet and TensorFlow have them. Differs: windows shorter than 9 frames and pictures smaller
    than 193 px, which the published average pooling over 2 x 7 x 7 does not take, are averaged over as much as there is; larger pictures
    over all positions; no dropout before the classes.

    Attributes:
      end_point: one of END_POINTS. "avg_pool" is the average pooling in front of the classes, then the mean over time, 1024-d; "Logits"
        those of the 400 classes of Kinetics, averaged over time. The others are (N, F', H', W', D).
      folded: the batch norms are folded into the convolutions (`fold_batch_norm`); for frozen use.
      resize_px: frames are brought to this height and width first, bilinearly; 0 leaves them as they are. 224 is the published size.
    """

    end_point: str = "avg_pool"
    folded: bool = False
    resize_px: int = 0

    @nn.compact
    def end_points(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
        """All end points up to `end_point` by name, for x (N, F, H, W, 3) or (N, F, H, W, 2) with H, W of at least 32.

        Raises:
          ValueError: an unknown end point, or windows that are too small or of other channels.
        """
        if self.end_point not in END_POINTS:
            raise ValueError(f"expected an end point of I3D among {END_POINTS}, got {self.end_point!r}")
        if x.ndim != 5 or x.shape[-1] not in (2, 3) or (not self.resize_px and min(x.shape[2:4]) < 32) or x.shape[1] < 1:
            raise ValueError(
                f"I3D takes windows (N, F, H, W, 3) of frames or (N, F, H, W, 2) of optical flow, of 32 pixels at least, got {x.shape}; "
                "resize_px enlarges smaller ones, and 224 is its own size"
            )
        if jnp.issubdtype(x.dtype, jnp.integer):
            x = x.astype(jnp.float32) / 127.5 - 1
        if self.resize_px and x.shape[2:4] != (self.resize_px, self.resize_px):
            x = jax.image.resize(x, (*x.shape[:2], self.resize_px, self.resize_px, x.shape[-1]), "bilinear")
        found: dict[str, jax.Array] = {}
        for name in END_POINTS[: END_POINTS.index(self.end_point) + 1]:
            if name in _CONVS:
                channels, edge, stride = _CONVS[name]
                x = ConvBlock(channels, (edge,) * 3, stride, folded=self.folded, momentum=_MOMENTUM, name=name)(x, train)
            elif name in _POOLS:
                x = nn.max_pool(x, *_POOLS[name], "SAME")
            elif name in _MIXED:
                x = _Mixed(name, self.folded, name=name)(x, train)
            elif name == "avg_pool":
                window = tuple(min(length, most) for length, most in zip(x.shape[1:4], (2, 7, 7), strict=True))
                x = jnp.mean(nn.avg_pool(x, window), axis=(1, 2, 3))
            else:
                x = _Logits(name=name)(x)
            found[name] = x
        return found

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Encode windows x to the features at `end_point`, (N, 1024) by default.

        Args:
          x: (N, F, H, W, 3) uint8 RGB in [0, 255] or float32 in [-1, 1]; optical flow (N, F, H, W, 2) float32, cut off at 20 px a frame and
            scaled to [-1, 1].
          train: normalise by the batch's statistics (collection "batch_stats" must be mutable).
        """
        return self.end_points(x, train=train)[self.end_point]
