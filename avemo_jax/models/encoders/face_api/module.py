"""The nets of face-api.js that look at a face: 68 landmarks, and seven expressions.

Both want a square crop from a little above the eyebrows down to the chin, which must be inside. 1.2 times the longer side of a
detector's box, `crop_face`'s margin of 0.1, is right for Haar, YuNet and res10 alike: the points move little at margins between 0 and
0.15, and no longer make a face at much larger ones. The expression net depends on the crop even more: at a negative margin it calls most
frames of acted clips sad.
"""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.separable import SeparableConv

SIZE_PX = 112
CLASSES = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
NUM_LANDMARKS = 68
# Which of the 68 points (of the iBUG 300-W scheme) are what; left and right are the picture's.
LANDMARKS = {
    "jaw": range(0, 17),
    "left_eyebrow": range(17, 22),
    "right_eyebrow": range(22, 27),
    "nose": range(27, 36),
    "left_eye": range(36, 42),
    "right_eye": range(42, 48),
    "mouth": range(48, 68),
}

_BLOCK_CHANNELS = (32, 64, 128, 256)
_MEAN_RGB = (122.782, 117.001, 104.298)
_BLOCKS = tuple(f"block{number}" for number in range(len(_BLOCK_CHANNELS)))


class _Block(nn.Module):
    """Four convolutions; the first halves the picture, each later one takes the sum of all before it.

    The first alone is a plain convolution in the net's first block.
    """

    channels: int
    is_first: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.is_first:
            start = nn.Conv(self.channels, (3, 3), (2, 2), kernel_init=nn.initializers.he_normal(), name="conv0")(x)
        else:
            start = SeparableConv(self.channels, stride=2, name="conv0")(x)
        total = nn.relu(start)
        for number in (1, 2, 3):
            total = total + SeparableConv(self.channels, name=f"conv{number}")(nn.relu(total))
        return nn.relu(total)


class _FaceNet(nn.Module):
    """What both nets share; use `FaceLandmarks68` or `FaceExpressions`.

    Parameters: `block0` ... `block3`, in each `conv0` ... `conv3` with depthwise (3, 3, C), pointwise (C, C') and bias (C',), but for
    `block0/conv0` with kernel (3, 3, 3, 32) and bias; `output` with kernel (256, D) and bias. What lies beyond the end point has none.

    Source: Mühler, face-api.js, whose design is in its code alone: blocks of separable convolutions whose sums are handed on, the mean
    over 7 x 7 positions, one linear layer. Differs: face-api.js reduces pictures with a browser's canvas, here the pixels between are
    averaged.

    Attributes:
      end_point: one of END_POINTS; "features" is the mean over positions of "block3", 256 numbers.
    """

    END_POINTS: ClassVar[tuple[str, ...]]
    NUM_OUTPUTS: ClassVar[int]

    end_point: str = "features"

    @nn.compact
    def end_points(self, x: jax.Array) -> dict[str, jax.Array]:
        """All end points up to `end_point` by name, for faces x as `__call__` takes them.

        Raises:
          ValueError: an unknown end point, or pictures of another shape.
        """
        if self.end_point not in self.END_POINTS:
            raise ValueError(f"expected an end point of {type(self).__name__} among {self.END_POINTS}, got {self.end_point!r}")
        x = _prepared(x, type(self).__name__)
        found: dict[str, jax.Array] = {}
        for name, channels in zip(_BLOCKS, _BLOCK_CHANNELS, strict=True):
            x = found[name] = _Block(channels, name == _BLOCKS[0], name=name)(x)
            if name == self.end_point:
                return found
        x = found["features"] = jnp.mean(x, axis=(1, 2))
        if self.end_point != "features":
            found[self.end_point] = nn.Dense(self.NUM_OUTPUTS, kernel_init=nn.initializers.he_normal(), name="output")(x)
        return found

    def __call__(self, x: jax.Array) -> jax.Array:
        """Encode faces to what is at `end_point`.

        Args:
          x: uint8 RGB in [0, 255], (N, H, W, 3) of any size, square crops as the nets know them; or float32 (N, 112, 112, 3), RGB with
            the mean taken off, divided by 255.
        """
        return self.end_points(x)[self.end_point]


class FaceLandmarks68(_FaceNet):
    """The 68-point landmark net. See `_FaceNet`; its end point "landmarks" is (N, 136): x and y of each point in turn (`LANDMARKS`).

    Coordinates are parts of the crop's side, from its left and upper edge; points just outside of it are possible.
    """

    END_POINTS = (*_BLOCKS, "features", "landmarks")
    NUM_OUTPUTS = 2 * NUM_LANDMARKS

    end_point: str = "landmarks"


class FaceExpressions(_FaceNet):
    """The expression net. See `_FaceNet`; its end point "expressions" are the logits of CLASSES, (N, 7)."""

    END_POINTS = (*_BLOCKS, "features", "expressions")
    NUM_OUTPUTS = len(CLASSES)


def _prepared(x: jax.Array, net: str) -> jax.Array:
    is_picture = jnp.issubdtype(x.dtype, jnp.integer)
    if x.ndim != 4 or x.shape[-1] != 3 or not (is_picture or x.shape[1:3] == (SIZE_PX, SIZE_PX)):
        raise ValueError(
            f"{net} takes faces (N, H, W, 3) of type uint8, or (N, {SIZE_PX}, {SIZE_PX}, 3) of type float32, got {x.shape} of type "
            f"{x.dtype}"
        )
    if not is_picture:
        return x
    x = x.astype(jnp.float32)
    if x.shape[1:3] != (SIZE_PX, SIZE_PX):
        x = jax.image.resize(x, (len(x), SIZE_PX, SIZE_PX, 3), "bilinear")
    return (x - jnp.asarray(_MEAN_RGB)) / 255
