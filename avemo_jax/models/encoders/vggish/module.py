"""VGGish, the audio encoder that AudioSet was released with."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.winograd import conv3x3

# Name and channels of the convolutions, a max-pooling after each group.
_GROUPS = (
    (("conv1", 64),),
    (("conv2", 128),),
    (("conv3_1", 256), ("conv3_2", 256)),
    (("conv4_1", 512), ("conv4_2", 512)),
)
# In the order of computation. "global_max" hangs on "pool4" and is no input of what follows.
END_POINTS = (
    *("conv1", "pool1", "conv2", "pool2", "conv3_1", "conv3_2", "pool3", "conv4_1", "conv4_2", "pool4", "global_max"),
    *("fc1_1", "fc1_2", "embedding", "embedding_pca", "embedding_quantized"),
)
_LARGEST = 2.0  # post-processed embeddings are clipped to minus and plus this


class VGGish(nn.Module):
    """VGGish up to a named end point; what lies beyond it has no parameters, so "pool4" takes patches of any length.

    Parameters are modules of the TF-Slim names (`conv1` ... `conv4_2`, `fc1_1`, `fc1_2`, `fc2`) with kernel (3, 3, C, C') or (D, D')
    and bias; 72,141,184 numbers with the fully connected layers. Pictures are flattened as TensorFlow does, channels last.

    Source: Hershey et al. 2017, arXiv 1609.09430; the layers of the TF-Slim model released with AudioSet. Its embedding is the last
    layer before any activation; ports of its first release apply a ReLU to it. Post-processing: vggish_postprocess of the same release,
    its numbers in collection "batch_stats" (`pca_eigen_vectors` (128, 128), a row each; `pca_means` (128,)), which no optimiser touches;
    without the published ones they change nothing but for the clipping. Differs: He's initialisation, where the release has
    a deviation of 0.01, which leaves nothing of the input after ten layers unless one trains for long.

    Attributes:
      end_point: one of END_POINTS. "global_max" is the largest value of each channel of "pool4" (system D); "embedding" the 128
        numbers of the last layer (system A); "embedding_pca" the same after the PCA and whitening that AudioSet's embeddings went
        through, clipped to [-2, 2]; "embedding_quantized" those as whole numbers from 0 to 255, as they are distributed.
      winograd: kernels are transformed ones (`winograd.transform_kernels`); for frozen use.
    """

    end_point: str = "embedding"
    winograd: bool = False

    @nn.compact
    def end_points(self, x: jax.Array) -> dict[str, jax.Array]:
        """All end points up to `end_point` by name, activations included, for x (N, 96, 64) or (N, 96, 64, 1) float32, log-mel.

        Raises:
          ValueError: an unknown end point, or fully connected layers asked of patches that are not 96 x 64.
        """
        if self.end_point not in END_POINTS:
            raise ValueError(f"expected an end point of VGGish among {END_POINTS}, got {self.end_point!r}")
        x = x if x.ndim == 4 else x[..., None]
        found: dict[str, jax.Array] = {}

        def done(name: str, value: jax.Array) -> bool:
            found[name] = value
            return name == self.end_point

        for number, group in enumerate(_GROUPS, start=1):
            for name, channels in group:
                x = nn.relu(conv3x3(x, channels, winograd=self.winograd, name=name))
                if done(name, x):
                    return found
            x = nn.max_pool(x, (2, 2), (2, 2), padding="SAME")
            if done(f"pool{number}", x):
                return found
        if done("global_max", jnp.max(x, axis=(1, 2))):
            return found
        if x.shape[1:3] != (6, 4):
            raise ValueError(
                f"VGGish's fully connected layers take patches of 96 frames x 64 mel bands (6 x 4 after pooling), got {x.shape[1:3]} after "
                "pooling; choose the view logmel_patches, or the end point 'global_max' for longer ones"
            )
        x = x.reshape(len(x), -1)
        for name in ("fc1_1", "fc1_2"):
            x = nn.relu(nn.Dense(4096, kernel_init=nn.initializers.he_normal(), name=name)(x))
            if done(name, x):
                return found
        x = nn.Dense(128, name="fc2")(x)
        if done("embedding", x):
            return found
        eigen_vectors = self.variable("batch_stats", "pca_eigen_vectors", jnp.eye, 128).value
        means = self.variable("batch_stats", "pca_means", jnp.zeros, 128).value
        x = jnp.clip((x - means) @ eigen_vectors.T, -_LARGEST, _LARGEST)
        if not done("embedding_pca", x):
            done("embedding_quantized", jnp.floor((x + _LARGEST) * (255 / (2 * _LARGEST))))
        return found

    def __call__(self, x: jax.Array) -> jax.Array:
        """Encode x (N, 96, 64) or (N, 96, 64, 1) float32, log(mel + 0.01), to the features at `end_point`, (N, 128) by default."""
        return self.end_points(x)[self.end_point]
