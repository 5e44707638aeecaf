"""VGG16 and VGG19, the frame encoders of systems B, D and E."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.winograd import conv3x3

_CHANNELS = (64, 128, 256, 512, 512)  # of the five groups of convolutions, a max-pooling after each
_MEAN_BGR = (103.939, 116.779, 123.68)  # of the ImageNet pictures that the weights were trained on
_FULLY_CONNECTED = (("fc6", 4096), ("fc7", 4096), ("fc8", 1000))


def _end_points(depths: tuple[int, ...]) -> tuple[str, ...]:
    groups = enumerate(depths, start=1)
    layers = [name for group, depth in groups for name in (*(f"conv{group}_{index}" for index in range(1, depth + 1)), f"pool{group}")]
    # "global_avg" and "global_max" hang on "pool5" and are no input of what follows
    return (*layers, "global_avg", "global_max", "flatten", "fc6", "fc7", "fc8")


class _VGG(nn.Module):
    """What both depths share; use `VGG16` or `VGG19`.

    Parameters: `conv1_1` ... `conv5_3` or `conv5_4` with kernel (3, 3, C, C'), `fc6`, `fc7`, `fc8` with kernel (D, D'), each with a bias;
    what lies beyond the end point has none. Pictures are flattened channels last, as keras.applications publishes the weights.

    Source: Simonyan and Zisserman 2015, arXiv 1409.1556, Table 1; names of the layers as in the Caffe release. Differs: He's
    initialisation; no dropout between the fully connected layers, whose weights are published and not trained from the start here.

    Attributes:
      end_point: one of END_POINTS. "fc7" is 4096-d, after its ReLU (system B); "global_avg" the mean of each of the 512 channels of
        "pool5" over positions (systems D and E), "global_max" the largest value; "flatten" "pool5" as a vector; "fc8" the logits of
        the 1000 classes of ImageNet. Fully connected layers take pictures of 224 px.
      resize_px: pictures are brought to this height and width first, bilinearly; 0 leaves them as they are.
      winograd: kernels are transformed ones (`winograd.transform_kernels`); for frozen use.
    """

    END_POINTS: ClassVar[tuple[str, ...]]
    DEPTHS: ClassVar[tuple[int, ...]]

    end_point: str = "fc7"
    resize_px: int = 0
    winograd: bool = False

    @nn.compact
    def end_points(self, x: jax.Array) -> dict[str, jax.Array]:
        """All end points up to `end_point` by name, ReLUs included, for x (N, H, W, 3) with H, W of at least 32 after resizing.

        Raises:
          ValueError: an unknown end point, pictures that are too small or not of three channels, or fully connected layers asked of
            pictures that are not 224 px.
        """
        name = type(self).__name__
        if self.end_point not in self.END_POINTS:
            raise ValueError(f"expected an end point of {name} among {self.END_POINTS}, got {self.end_point!r}")
        if x.ndim == 4 and x.shape[-1] == 1:
            x = jnp.repeat(x, 3, axis=-1)
        if x.ndim != 4 or x.shape[-1] != 3 or min(self._size_px(x)) < 32:
            raise ValueError(f"{name} takes pictures (N, H, W, 3) of 32 pixels at least, got {x.shape}; resize_px enlarges smaller ones")
        x = self._prepared(x)
        found: dict[str, jax.Array] = {}

        def done(name: str, value: jax.Array) -> bool:
            found[name] = value
            return name == self.end_point

        for group, (depth, channels) in enumerate(zip(self.DEPTHS, _CHANNELS, strict=True), start=1):
            for index in range(1, depth + 1):
                layer = f"conv{group}_{index}"
                x = nn.relu(conv3x3(x, channels, winograd=self.winograd, name=layer))
                if done(layer, x):
                    return found
            x = nn.max_pool(x, (2, 2), (2, 2))
            if done(f"pool{group}", x):
                return found
        if done("global_avg", jnp.mean(x, axis=(1, 2))) or done("global_max", jnp.max(x, axis=(1, 2))):
            return found
        positions = x.shape[1:3]
        x = x.reshape(len(x), -1)
        if done("flatten", x):
            return found
        if positions != (7, 7):
            raise ValueError(
                f"{name}'s fully connected layers take pictures of 224 px (7 x 7 positions after pooling), got {positions} positions; set "
                "resize_px=224, or choose the end point 'global_avg', which takes any size"
            )
        for layer, width in _FULLY_CONNECTED:
            x = nn.Dense(width, kernel_init=nn.initializers.he_normal(), name=layer)(x)
            x = x if layer == "fc8" else nn.relu(x)
            if done(layer, x):
                break
        return found

    def __call__(self, x: jax.Array) -> jax.Array:
        """Encode x (N, H, W, 3) to the features at `end_point`, (N, 4096) by default.

        Args:
          x: uint8 RGB in [0, 255], or float32 that is prepared as the weights want it: BGR, the mean of ImageNet taken off. Grey
            pictures (N, H, W, 1) are repeated to three channels (system D).
        """
        return self.end_points(x)[self.end_point]

    def _size_px(self, x: jax.Array) -> tuple[int, ...]:
        return (self.resize_px, self.resize_px) if self.resize_px else x.shape[1:3]

    def _prepared(self, x: jax.Array) -> jax.Array:
        is_picture = jnp.issubdtype(x.dtype, jnp.integer)
        x = x.astype(jnp.float32) if is_picture else x
        if self._size_px(x) != x.shape[1:3]:
            x = jax.image.resize(x, (len(x), *self._size_px(x), 3), "bilinear")
        return x[..., ::-1] - jnp.asarray(_MEAN_BGR, jnp.float32) if is_picture else x


class VGG16(_VGG):
    """VGG16 (configuration D of its paper) up to a named end point; 138,357,544 parameters with all its layers. See `_VGG`."""

    DEPTHS = (2, 2, 3, 3, 3)
    END_POINTS = _end_points(DEPTHS)


class VGG19(_VGG):
    """VGG19 (configuration E of its paper) up to a named end point; 143,667,240 parameters with all its layers. See `_VGG`."""

    DEPTHS = (2, 2, 4, 4, 4)
    END_POINTS = _end_points(DEPTHS)
